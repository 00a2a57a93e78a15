#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::storage {

/// Bytes that belong into a block, at this offset, and are not in it yet.
struct LooseBytes {
  std::size_t at;
  std::span<const std::byte> bytes;
};

/// Copies those of `loose` that lie in the part of a block from `at` on into that part.
void gather(std::span<const LooseBytes> loose, std::size_t at, std::span<std::byte> part) noexcept;

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
  /// The same for a block that `loose` is still missing from, in one pass over all bytes where that
  /// spares one.
  virtual void apply_loose(std::span<std::byte> bytes, std::uint64_t position,
                           std::span<const LooseBytes> loose) {
    gather(loose, 0, bytes);
    apply(bytes, position);
  }
};

}  // namespace cairn::storage
