#pragma once

#include <algorithm>
#include <optional>

#include "cairn/slice.hpp"

namespace cairn {

/// A box of a tensor, by its corner and its extents.
struct Box {
  Shape offset;
  Shape extent;

  bool operator==(const Box&) const = default;
  auto operator<=>(const Box&) const = default;
};

inline bool is_empty(const Box& box) {
  return std::ranges::find(box.extent, std::uint64_t{0}) != box.extent.end();
}

/// What two boxes of one tensor have in common; nothing where that is empty.
inline std::optional<Box> intersection(const Box& a, const Box& b) {
  Box common = a;
  for (std::size_t d = 0; d < a.offset.size(); ++d) {
    const std::uint64_t begin = std::max(a.offset[d], b.offset[d]);
    const std::uint64_t end = std::min(a.offset[d] + a.extent[d], b.offset[d] + b.extent[d]);
    if (begin >= end) return std::nullopt;
    common.offset[d] = begin;
    common.extent[d] = end - begin;
  }
  return common;
}

}  // namespace cairn
