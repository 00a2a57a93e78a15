#include "storage/block_reader.hpp"

#include <algorithm>
#include <string>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"

namespace cairn::storage {

void BlockReader::read(std::span<std::byte> bytes, std::uint64_t position) {
  if (!index_.record.has_crc()) {
    file_.read(bytes, position);
    return;
  }
  const std::uint64_t block_bytes = index_.record.block_bytes;
  while (!bytes.empty()) {
    const auto rest = block(position / block_bytes).subspan(position % block_bytes);
    const std::size_t count = std::min(rest.size(), bytes.size());
    std::ranges::copy(rest.first(count), bytes.begin());
    bytes = bytes.subspan(count);
    position += count;
  }
}

std::span<const std::byte> BlockReader::block(std::uint64_t number) {
  if (number_ == number) return block_;
  number_.reset();
  block_.resize(index_.record.block_bytes);
  const std::uint64_t offset = number * block_.size();
  file_.read(block_, offset);
  const std::uint32_t found = codec::crc32(block_);
  const std::uint32_t expected = index_.crcs[number];
  if (found != expected) {
    throw Error(ErrorCode::damaged, file_.path().string() + ": block " + std::to_string(number) +
                                        " at offset " + std::to_string(offset) + " has the CRC " +
                                        std::to_string(found) + ", expected " +
                                        std::to_string(expected));
  }
  number_ = number;
  return block_;
}

}  // namespace cairn::storage
