#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/box.hpp"

namespace cairn::plan {

enum class CoverProof : std::uint8_t {
  exact,      ///< each element lies in exactly one box
  wrong,      ///< some element lies in none, or in several
  undecided,  ///< telling takes more steps than allowed
};

/// Steps that `prove_cover` takes by itself: enough for boxes cut irregularly, each for itself, in
/// six dimensions. Grids, and boxes cut in rows or columns, take a few steps per box.
inline std::uint64_t cover_steps(std::size_t boxes) {
  return (std::uint64_t{1} << 20U) + boxes * std::uint64_t{64};
}

/// Whether the boxes, all of which lie in `shape`, cover it exactly once. Unlike `find_defect` it
/// does not say where they do not; but its work is bounded, whatever the boxes are.
CoverProof prove_cover(const Shape& shape, std::span<const Box* const> boxes,
                       std::uint64_t most_steps);

inline std::vector<const Box*> pointers_to(std::span<const Box> boxes) {
  std::vector<const Box*> pointers;
  pointers.reserve(boxes.size());
  for (const Box& box : boxes) pointers.push_back(&box);
  return pointers;
}

inline CoverProof prove_cover(const Shape& shape, std::span<const Box> boxes,
                              std::uint64_t most_steps) {
  return prove_cover(shape, pointers_to(boxes), most_steps);
}
inline CoverProof prove_cover(const Shape& shape, std::span<const Box> boxes) {
  return prove_cover(shape, boxes, cover_steps(boxes.size()));
}

}  // namespace cairn::plan
