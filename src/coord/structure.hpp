#pragma once

#include <cstdint>
#include <span>

#include "base/tensor.hpp"
#include "coord/comm.hpp"
#include "plan/claim.hpp"
#include "storage/lone_shard.hpp"

namespace cairn::coord {

/// Local. Of tensors, each once; a sum, so that parts can be added up in any order.
storage::StructureDigest structure_of(std::span<const TensorInfo> tensors);

/// What all ranks together hold, as every rank must know it before it may be left alone.
struct Structure {
  storage::StructureDigest digest{};
  std::uint64_t block_bytes = 0;  ///< that suits the rank that holds most
};
/// Collective. Throws `layout` where the claims do not make whole tensors.
Structure agree_on_structure(const Comm& comm, std::span<const plan::Claim> claims,
                             std::uint64_t largest_block);

}  // namespace cairn::coord
