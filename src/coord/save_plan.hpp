#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/sha256.hpp"
#include "coord/comm.hpp"
#include "plan/claim.hpp"
#include "plan/home.hpp"
#include "plan/owners.hpp"
#include "plan/routes.hpp"
#include "plan/save_steps.hpp"
#include "storage/image.hpp"

namespace cairn::coord {

/// Everything about a save that depends on the structure of the state alone; kept and used again
/// while that stays the same on all ranks.
struct SavePlan {
  /// Of this rank's claims and what else the plan depends on; for whoever keeps the plan.
  codec::Digest digest{};
  /// Rank 0 has all of it; the others have the sizes, but no offsets and no head.
  storage::ImageLayout layout;
  std::uint64_t tensor_count = 0;
  plan::Ownership ownership;
  plan::Routes routes;
  /// Rank 0 only: the tensors in the order of the layout.
  std::vector<TensorInfo> tensors;

  /// About how much memory this takes on this rank.
  [[nodiscard]] std::uint64_t memory() const noexcept;
};

/// Local. What tells one structure from another on this rank.
codec::Digest digest_of(const State& state, std::uint64_t largest_block);

/// The claims of all ranks at their homes, and which of this rank's claims went where.
struct ClaimsAtHome {
  plan::ClaimsByHome by_home;
  plan::Home home;
};

/// Collective. Brings the claims to their homes, where the exact cover is proved. Throws `layout`.
ClaimsAtHome bring_home(const Comm& comm, std::span<const plan::Claim> claims);

/// Collective. Plans a save: claims to homes; exact cover proved there; the structure laid out on
/// rank 0; blocks to owners; shares back to the holders; and what owners must know. Throws the same
/// `layout` error everywhere where the claims do not make whole tensors.
SavePlan make_save_plan(const Comm& comm, std::span<const plan::Claim> claims,
                        std::uint64_t largest_block);

/// Collective. Decides who owns which of `blocks` (the same on all ranks) from what each rank knows
/// of who holds them.
plan::Ownership agree_on_owners(const Comm& comm, std::span<const plan::Candidate> candidates,
                                std::span<const std::uint64_t> blocks, std::uint64_t block_bytes,
                                std::uint64_t first_block, std::uint64_t block_count);

/// Collective. Tells the owners what this rank holds, and puts the routes together.
plan::Routes agree_on_routes(const Comm& comm, const plan::Ownership& ownership,
                             std::vector<plan::Holding> mine);

}  // namespace cairn::coord
