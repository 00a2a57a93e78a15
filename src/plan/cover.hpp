#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/box.hpp"
#include "cairn/slice.hpp"

namespace cairn::plan {

using cairn::Box;

/// Why boxes do not cover a tensor exactly once.
struct CoverDefect {
  Shape index;  ///< the first element, in row-major order, where it is so
  /// The two boxes that both hold it, by their places in the list; nothing: no box holds it.
  std::optional<std::pair<std::size_t, std::size_t>> overlap;
};

/// Nothing where each element of `shape` lies in exactly one of the boxes, all of which lie in the
/// shape. Proved at once where it is so; the search for a defect grows with the cuts that boxes
/// span, so of boxes that come from anybody ask `prove_cover`.
std::optional<CoverDefect> find_defect(const Shape& shape, std::span<const Box* const> boxes);

}  // namespace cairn::plan
