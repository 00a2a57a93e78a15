#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cairn/slice.hpp"

namespace cairn {

/// Where the bytes of a slice lie in a linear space: equal runs of bytes in nested strides. A slice
/// in memory is one (space: addresses relative to its first byte), its place in the image another.
/// *Local* bytes count the slice's own bytes in row-major order, so one local range means the same
/// bytes on both sides, and a message is always one local range.
struct Strided {
  struct Dim {
    std::uint64_t count;
    std::int64_t stride;  ///< bytes
    bool operator==(const Dim&) const = default;
  };

  std::int64_t base = 0;   ///< of the first run
  std::uint64_t run = 0;   ///< bytes of each run; 0: the slice is empty
  std::vector<Dim> dims;   ///< outermost first; none: a single run

  [[nodiscard]] std::uint64_t bytes() const noexcept;
  /// One past the last byte, where all strides are positive.
  [[nodiscard]] std::uint64_t end() const noexcept;

  bool operator==(const Strided&) const = default;
};

/// The place of `slice` in the image, whose tensor begins at byte `base`.
Strided image_place(const Slice& slice, std::size_t element_bytes, std::uint64_t base);

/// The place of a slice of `extent` elements in memory. Without strides: row-major without gaps.
Strided memory_place(std::span<const std::uint64_t> extent, std::size_t element_bytes,
                     const std::optional<std::vector<std::ptrdiff_t>>& byte_strides);

/// How many local bytes lie before byte `position` of the image.
std::uint64_t bytes_before(const Strided& image, std::uint64_t position) noexcept;

/// Walks the runs of a Strided from a local byte on.
class RunCursor {
 public:
  RunCursor(const Strided& strided, std::uint64_t local);

  /// Where the current local byte lies.
  [[nodiscard]] std::int64_t position() const noexcept {
    return start_ + static_cast<std::int64_t>(in_run_);
  }
  /// Bytes from here to the end of the run.
  [[nodiscard]] std::uint64_t left() const noexcept { return strided_->run - in_run_; }
  /// Goes on by at most `left()` bytes.
  void advance(std::uint64_t bytes) noexcept;

 private:
  void next_run() noexcept;

  const Strided* strided_;
  std::vector<std::uint64_t> index_;
  std::int64_t start_ = 0;  ///< of the current run
  std::uint64_t in_run_ = 0;
};

/// Copies the local bytes [first, last). `from_origin` and `to_origin` are where position 0 of each
/// space lies in memory.
void copy_local(const Strided& from, const std::byte* from_origin, const Strided& to,
                std::byte* to_origin, std::uint64_t first, std::uint64_t last);

/// A packed range of local bytes beginning at local byte `first`: position 0 is byte `first`.
Strided packed_place(std::uint64_t first, std::uint64_t last);

/// Whether the local bytes [first, last) are one run; then `position` is where they begin.
std::optional<std::int64_t> single_run(const Strided& strided, std::uint64_t first,
                                       std::uint64_t last);

/// Calls `visit(block, first, last)` for each block of the image that holds any of the local bytes,
/// in order.
template <class Visit>
void for_each_block(const Strided& image, std::uint64_t block_bytes, Visit&& visit) {
  if (image.run == 0) return;
  const std::uint64_t first_block = static_cast<std::uint64_t>(image.base) / block_bytes;
  const std::uint64_t end_block = (image.end() + block_bytes - 1) / block_bytes;
  std::uint64_t first = 0;
  for (std::uint64_t block = first_block; block < end_block; ++block) {
    const std::uint64_t last = bytes_before(image, (block + 1) * block_bytes);
    if (last > first) visit(block, first, last);
    first = last;
  }
}

}  // namespace cairn
