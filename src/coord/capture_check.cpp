#include "coord/capture_check.hpp"

#include <algorithm>

#include "base/slice_access.hpp"
#include "base/tensor.hpp"
#include "codec/crc32.hpp"

namespace cairn::coord {

CaptureCheck::CaptureCheck(std::span<const State::Entry> entries) : entries_(entries) {
  crcs_.reserve(entries.size());
  for (const State::Entry& entry : entries) crcs_.push_back(crc_of(entry));
}

std::optional<Error> CaptureCheck::find_changed() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (crc_of(entries_[i]) == crcs_[i]) continue;
    return Error(ErrorCode::invalid_argument,
                 label(entries_[i].family, entries_[i].name) + ", the slice at " +
                     to_string(entries_[i].slice.offset) +
                     ", changed before its values were captured: with lazy_capture the program "
                     "must call before_update() before it changes anything");
  }
  return std::nullopt;
}

std::uint32_t CaptureCheck::crc_of(const State::Entry& entry) {
  constexpr std::uint64_t kAtATime = std::uint64_t{1} << 20;
  const SliceAccess slice(entry);
  const std::uint64_t bytes = element_count(entry.slice.extent) * size_of(entry.source.dtype());
  std::vector<std::byte> packed(std::min(bytes, kAtATime));
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < bytes; at += kAtATime) {
    const std::uint64_t end = std::min(bytes, at + kAtATime);
    slice.read(at, end, packed.data());
    crc = codec::crc32(std::span(packed).first(end - at), crc);
  }
  return crc;
}

}  // namespace cairn::coord
