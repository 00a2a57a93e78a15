#pragma once

#include <cstddef>
#include <cstdint>

#include "base/strided.hpp"
#include "cairn/state.hpp"

namespace cairn {

/// Reads and writes ranges of local bytes of one entry of a State, whatever is behind it. Refers to
/// the entry, which must outlive it.
class SliceAccess {
 public:
  explicit SliceAccess(const State::Entry& entry);

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
  const State::Entry* entry_;
  std::size_t element_bytes_;
  Strided memory_;
};

}  // namespace cairn
