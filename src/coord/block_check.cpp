#include "coord/block_check.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/listing.hpp"
#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/sealed_header.hpp"

namespace cairn::coord {

std::size_t BlockCheck::file_of(std::uint64_t position) const {
  const auto after =
      std::ranges::upper_bound(stored_.files, position, {}, &storage::FileRange::first);
  return static_cast<std::size_t>(after - stored_.files.begin()) - 1;
}

void BlockCheck::prepare(std::uint64_t position) {
  if (stored_.verified != Verified::seal) return;
  const std::size_t file = file_of(position);
  if (seals_[file]) return;
  seals_[file] =
      std::make_unique<codec::Seal>(key_, stored_.enc_mode, stored_.sealed[file].id);
}

void BlockCheck::apply(std::span<std::byte> bytes, std::uint64_t position) {
  if (stored_.verified == Verified::structure) return;
  const std::size_t mark_bytes = stored_.marks.size() / stored_.block_count;
  const auto mark = std::span<const std::byte>(stored_.marks)
                        .subspan(position / stored_.block_bytes * mark_bytes, mark_bytes);
  if (stored_.verified == Verified::crc) {
    check_crc(bytes, position, mark);
  } else {
    open(bytes, position, mark);
  }
}

void BlockCheck::check_crc(std::span<const std::byte> bytes, std::uint64_t position,
                           std::span<const std::byte> mark) const {
  std::uint32_t expected = 0;
  std::memcpy(&expected, mark.data(), sizeof expected);
  const std::uint32_t found = codec::crc32(bytes);
  if (found == expected) return;
  refuse(position, "has the CRC " + std::to_string(found) + ", expected " +
                       std::to_string(expected));
}

void BlockCheck::open(std::span<std::byte> bytes, std::uint64_t position,
                      std::span<const std::byte> mark) const {
  const std::size_t file = file_of(position);
  const storage::FileRange& range = stored_.files[file];
  const std::uint64_t number =
      (position - range.first + range.offset - storage::kHeaderBytes) / stored_.block_bytes;
  if (seals_[file]->open(number, stored_.sealed[file].header, bytes, mark)) return;
  refuse(position, "is not what was sealed there: its tag is wrong");
}

void BlockCheck::refuse(std::uint64_t position, const std::string& why) const {
  const storage::FileRange& range = stored_.files[file_of(position)];
  const auto hit = tensors_within(stored_, position, position + stored_.block_bytes);
  throw Error(ErrorCode::damaged,
              range.path.string() + ": the block of " + std::to_string(stored_.block_bytes) +
                  " bytes at offset " + std::to_string(position - range.first + range.offset) +
                  " " + why + "; it holds values of " + list_names(hit));
}

}  // namespace cairn::coord
