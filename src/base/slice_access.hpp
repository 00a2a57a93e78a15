#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/box.hpp"
#include "base/strided.hpp"
#include "cairn/state.hpp"

namespace cairn {

/// The whole slice of an entry.
Box box_of(const State::Entry& entry);

/// Reads and writes ranges of local bytes of a box of one entry of a State, whatever is behind it.
/// Refers to the entry, which must outlive it.
class SliceAccess {
 public:
  /// All of the entry's slice.
  explicit SliceAccess(const State::Entry& entry) : SliceAccess(entry, box_of(entry)) {}
  /// A box of the tensor that lies in the entry's slice and is not empty unless the slice is.
  SliceAccess(const State::Entry& entry, const Box& box);

  /// The bytes in place, where they are one run in memory; else null.
  [[nodiscard]] std::byte* in_place(std::uint64_t first, std::uint64_t last) const;
  /// Local bytes [first, last) to `packed`.
  void read(std::uint64_t first, std::uint64_t last, std::byte* packed) const;
  /// Local bytes [first, last) from `packed`.
  void write(std::uint64_t first, std::uint64_t last, const std::byte* packed) const;
  /// Local bytes to or from their places in the image; `block` holds the image from byte `origin`.
  void read_into_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                       std::byte* block, std::uint64_t origin) const;
  void write_from_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                        const std::byte* block, std::uint64_t origin) const;

 private:
  template <class Visit>
  void by_ranges_of_slice(std::uint64_t first, std::uint64_t last, Visit&& visit) const;

  const State::Entry* entry_;
  std::size_t element_bytes_;
  Strided in_slice_;  ///< where the box's local bytes lie among those of the slice
  Strided memory_;
};

/// Fills one entry of a State from local bytes as the file has them: as they are, or, where the file
/// has another dtype, converted. Local bytes count the file's elements then.
class SliceFiller {
 public:
  /// `box` as with SliceAccess. `allow_overflow`: values that do not fit are no error.
  SliceFiller(const State::Entry& entry, const Box& box, DType stored, bool allow_overflow);

  /// As with SliceAccess; null where values are converted.
  [[nodiscard]] std::byte* in_place(std::uint64_t first, std::uint64_t last) const;
  void write(std::uint64_t first, std::uint64_t last, const std::byte* packed);
  void write_from_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                        const std::byte* block, std::uint64_t origin);

 private:
  /// An element that a block boundary cuts: its bytes come in two parts, in any order.
  struct CutElement {
    std::vector<std::byte> bytes;
    std::size_t there = 0;
  };

  void convert_whole(std::uint64_t element, std::uint64_t count, const std::byte* stored);
  void add_part(std::uint64_t element, std::uint64_t begin, std::uint64_t end,
                const std::byte* bytes);

  const State::Entry* entry_;
  SliceAccess access_;
  DType stored_;
  bool converts_;
  bool allow_overflow_;
  std::map<std::uint64_t, CutElement> cut_;
};

}  // namespace cairn
