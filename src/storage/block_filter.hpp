#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::storage {

/// What happens to a block between memory and the disk, in place: its CRC is taken or compared, it
/// is sealed or opened, or nothing.
class BlockFilter {
 public:
  BlockFilter() = default;
  BlockFilter(const BlockFilter&) = delete;
  BlockFilter& operator=(const BlockFilter&) = delete;
  virtual ~BlockFilter() = default;

  /// `position`: of the block in the image (at a save) or in the space of blocks (at a load). Called
  /// by several threads at once, each with other blocks. Throws where the block is not what it
  /// should be.
  virtual void apply(std::span<std::byte> bytes, std::uint64_t position) = 0;
};

}  // namespace cairn::storage
