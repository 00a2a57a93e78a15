#pragma once

#include <cstdint>
#include <vector>

#include "plan/cover.hpp"

namespace cairn::plan {

/// Cuts a box into at most `parts` boxes of nearly equal size along its first dimension that has
/// more than one index, none smaller than `smallest` bytes if the whole is not.
std::vector<Box> cut_box(const Box& box, std::uint64_t element_bytes, std::uint64_t parts,
                         std::uint64_t smallest);

}  // namespace cairn::plan
