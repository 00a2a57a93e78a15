#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "plan/claim.hpp"
#include "plan/home.hpp"
#include "plan/owners.hpp"
#include "plan/routes.hpp"

// The steps of planning a save, each on one rank: `tell_…` says what it sends, to one rank or, by
// rank, to all of them; `hear_…` takes what came, by rank. coord/save_plan.cpp tells in which order,
// and carries the messages; whoever carries them otherwise plans for ranks that are not there.
namespace cairn::plan {

/// What goes to a rank, or came from it; in lists ascending by rank, without those that send nothing.
struct Parcel {
  std::int32_t rank;
  Bytes bytes;
};
using Parcels = std::vector<Parcel>;

/// Which claims go to a home, in order; in lists ascending by home.
struct ClaimsOfHome {
  std::int32_t home;
  std::vector<std::uint32_t> claims;
};
using ClaimsByHome = std::vector<ClaimsOfHome>;

ClaimsByHome claims_by_home(std::span<const Claim> claims, int ranks);

/// Every rank tells the homes of its tensors what it holds of them.
Parcels tell_claims(std::span<const Claim> claims, const ClaimsByHome& by_home);
Home hear_claims(const Parcels& from);

/// The tensors of all homes in the order of the file.
struct Structure {
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<std::size_t>> place_of;  ///< by home: where its tensors are in `tensors`
};

/// The homes tell rank 0 their tensors, and it tells them where each begins in the image.
Bytes tell_tensors(const Home& home);
Structure hear_tensors(std::span<const Bytes> from);
Parcels tell_offsets(const Structure& structure, std::span<const std::uint64_t> offsets);
std::vector<std::uint64_t> hear_offsets(std::span<const std::byte> told);

/// Who knows of holders of blocks tells rank 0, and it tells all who owns which of `blocks`.
Bytes tell_candidates(std::span<const Candidate> candidates);
Bytes decide_owners(std::span<const Bytes> from, std::span<const std::uint64_t> blocks, int ranks);
/// `empty` has no owners yet; it gets `block_count`, those not in `blocks` being nobody.
Ownership hear_owners(std::span<const std::byte> told, std::span<const std::uint64_t> blocks,
                      Ownership empty, std::uint64_t block_count);

/// The homes tell the holders which blocks of their claims they give.
Parcels tell_shares(const Home& home, const Ownership& ownership, int ranks);
/// A holding for each claim that has a share, by place in the file.
std::vector<Holding> hear_shares(std::span<const Claim> claims, const ClaimsByHome& by_home,
                                 const Parcels& from);

/// The holders tell the owners what they hold of their blocks.
Parcels tell_owners(std::span<const Holding> mine, const Ownership& ownership, int rank);
Routes hear_holders(const Ownership& ownership, int rank, int ranks, std::vector<Holding> mine,
                    const Parcels& from);

}  // namespace cairn::plan
