#include "coord/block_check.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/listing.hpp"
#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/posix_file.hpp"
#include "storage/recognise.hpp"

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

std::uint64_t BlockCheck::number_of(std::uint64_t position) const {
  const std::size_t file = file_of(position);
  const storage::FileRange& range = stored_.files[file];
  const std::uint64_t begin = stored_.verified == Verified::seal ? stored_.sealed[file].begin : 0;
  return (position - range.first + range.offset - begin) / stored_.block_bytes;
}

std::span<const std::byte> BlockCheck::mark_of(std::uint64_t position) const {
  const std::size_t mark_bytes = stored_.marks.size() / stored_.block_count;
  return std::span<const std::byte>(stored_.marks)
      .subspan(position / stored_.block_bytes * mark_bytes, mark_bytes);
}

void BlockCheck::apply(std::span<std::byte> bytes, std::uint64_t position) {
  if (stored_.verified == Verified::crc) check_crc(bytes, position);
  if (stored_.verified == Verified::seal && !open(bytes, position, position)) {
    refuse(position, "is not what was sealed there: its tag is wrong");
  }
}

void BlockCheck::check_crc(std::span<const std::byte> bytes, std::uint64_t position) const {
  std::uint32_t expected = 0;
  std::memcpy(&expected, mark_of(position).data(), sizeof expected);
  const std::uint32_t found = codec::crc32(bytes);
  if (found == expected) return;
  refuse(position, "has the CRC " + std::to_string(found) + ", expected " +
                       std::to_string(expected));
}

bool BlockCheck::open(std::span<std::byte> bytes, std::uint64_t position, std::uint64_t as) const {
  const std::size_t file = file_of(position);
  return seals_[file]->open(number_of(as), stored_.sealed[file].header, bytes, mark_of(as));
}

std::string BlockCheck::recognise(std::uint64_t position) const {
  const std::lock_guard lock(recognising_);
  if (most_to_recognise_ == 0) return {};
  --most_to_recognise_;
  const storage::FileRange& range = stored_.files[file_of(position)];
  const std::uint64_t block_bytes = stored_.block_bytes;
  const std::uint64_t first = number_of(range.first);
  const auto position_of = [&](std::uint64_t n) { return range.first + (n - first) * block_bytes; };
  const auto verifies = [&](std::uint64_t place, std::uint64_t as) {
    Bytes bytes(block_bytes);
    storage::PosixFile::open_for_reading(range.path)
        .read(bytes, position_of(place) - range.first + range.offset);
    if (stored_.verified == Verified::seal) return open(bytes, position_of(place), position_of(as));
    const std::uint32_t crc = codec::crc32(bytes);
    return std::memcmp(mark_of(position_of(as)).data(), &crc, sizeof crc) == 0;
  };
  return storage::recognise_block(
      number_of(position), {first, first + range.bytes / block_bytes, block_bytes}, verifies);
}

void BlockCheck::refuse(std::uint64_t position, const std::string& why) const {
  const storage::FileRange& range = stored_.files[file_of(position)];
  const auto hit = tensors_within(stored_, position, position + stored_.block_bytes);
  throw Error(ErrorCode::damaged,
              range.path.string() + ": block " + std::to_string(number_of(position)) + ", the " +
                  std::to_string(stored_.block_bytes) + " bytes at offset " +
                  std::to_string(position - range.first + range.offset) + ", " + why +
                  recognise(position) + "; it holds values of " + list_names(hit));
}

}  // namespace cairn::coord
