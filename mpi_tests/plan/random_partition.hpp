#pragma once

#include <vector>

#include "base/enumeration.hpp"
#include "plan/cover.hpp"

namespace cairn::testing {

/// Boxes that cover `shape` exactly, cut out by up to `cuts` cuts, each through one of the boxes.
inline std::vector<plan::Box> random_partition(Random& random, const Shape& shape,
                                               std::uint64_t cuts) {
  std::vector<plan::Box> boxes{{Shape(shape.size(), 0), shape}};
  for (; cuts > 0 && !shape.empty(); --cuts) {
    plan::Box& lower = boxes[below(random, boxes.size())];
    const std::size_t d = below(random, shape.size());
    if (lower.extent[d] < 2) continue;
    plan::Box upper = lower;
    lower.extent[d] = 1 + below(random, lower.extent[d] - 1);
    upper.offset[d] += lower.extent[d];
    upper.extent[d] -= lower.extent[d];
    boxes.push_back(std::move(upper));
  }
  std::shuffle(boxes.begin(), boxes.end(), random);
  return boxes;
}

}  // namespace cairn::testing
