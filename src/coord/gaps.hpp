#pragma once

#include <cstddef>
#include <span>

#include "plan/routes.hpp"

namespace cairn::coord {

/// Zeroes what no piece of `block` covers, as far as that is easily told: pieces in several runs are
/// not, and then all of it is zeroed. So it comes before the pieces.
void zero_gaps(const plan::Routes& routes, const plan::OwnedBlock& block,
               std::span<std::byte> bytes);

}  // namespace cairn::coord
