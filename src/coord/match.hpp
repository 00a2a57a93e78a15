#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "coord/comm.hpp"
#include "plan/claim.hpp"

namespace cairn::coord {

/// Collective. Strict: throws one `mismatch` on all ranks, which lists every tensor that some rank
/// asks for and the file does not have, that the file has and no rank asks for, or that differs in
/// shape or dtype. Returns where each claim's tensor stands in `stored`, which is sorted by name.
std::vector<std::size_t> match_strictly(const Comm& comm, std::span<const plan::Claim> claims,
                                        std::span<const PlacedTensor> stored,
                                        const std::string& where);

}  // namespace cairn::coord
