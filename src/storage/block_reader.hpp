#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "storage/image.hpp"

namespace cairn::storage {

/// Reads values from one image, each block verified by whatever the image has: its CRC, its tag, or
/// nothing. Refers to file and index.
class BlockReader {
 public:
  BlockReader(const ImageFile& file, const ImageIndex& index) : file_(file), index_(index) {}

  /// The bytes of head and body from `position` on. Throws `damaged`, naming the block.
  void read(std::span<std::byte> bytes, std::uint64_t position);

 private:
  std::span<const std::byte> block(std::uint64_t number);

  const ImageFile& file_;
  const ImageIndex& index_;
  Bytes block_;  ///< the last one
  std::optional<std::uint64_t> number_;
};

}  // namespace cairn::storage
