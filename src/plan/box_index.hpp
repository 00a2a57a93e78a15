#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/box.hpp"

namespace cairn::plan {

/// Finds equal boxes in a list that grows: a hash table of places in it, and no copies of boxes.
class BoxIndex {
 public:
  /// Where `box` is in the list of `count` boxes, all of which were looked up here; `count` where it
  /// is not, which the caller then adds it at. `box_at(place)` gives a box of the list.
  template <class BoxAt>
  std::size_t find_or_add(const Box& box, std::size_t count, BoxAt&& box_at) {
    if (2 * count >= slots_.size()) grow(count, box_at);
    for (std::size_t slot = hash(box) & mask();; slot = (slot + 1) & mask()) {
      if (slots_[slot] == kNone) {
        slots_[slot] = static_cast<std::uint32_t>(count);
        return count;
      }
      const Box& other = box_at(slots_[slot]);
      if (other.offset == box.offset && other.extent == box.extent) return slots_[slot];
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::size_t kFewest = 4;

  [[nodiscard]] std::size_t mask() const noexcept { return slots_.size() - 1; }

  static std::uint64_t hash(const Box& box) noexcept {
    std::uint64_t hash = 0;
    for (const std::span<const std::uint64_t> words : {std::span(box.offset), std::span(box.extent)}) {
      for (const std::uint64_t word : words) {
        hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
        hash ^= hash >> 32U;
      }
    }
    return hash;
  }

  /// Room for as many again. Their number is a power of two, half of it empty.
  template <class BoxAt>
  void grow(std::size_t count, BoxAt&& box_at) {
    slots_.assign(std::max(kFewest, 4 * slots_.size()), kNone);
    for (std::size_t place = 0; place < count; ++place) {
      std::size_t slot = hash(box_at(place)) & mask();
      while (slots_[slot] != kNone) slot = (slot + 1) & mask();
      slots_[slot] = static_cast<std::uint32_t>(place);
    }
  }

  std::vector<std::uint32_t> slots_;
};

}  // namespace cairn::plan
