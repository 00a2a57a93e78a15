// Planning a save, in the order of the calls in make_save_plan:
//
//   claims of every rank ──▶ the home of each tensor ──▶ rank 0: names, shapes, types only
//                              cover proved                 head laid out
//   homes ◀── offsets ── rank 0
//   homes ── who holds how much of each block (a few candidates) ──▶ rank 0 ── owners ──▶ all
//   homes ── shares: which replica gives which block ──▶ holders
//   holders ── their boxes ──▶ owners of the blocks they meet
//
// No rank sees all slices of all ranks; rank 0 sees every tensor once and every block once.
#include "coord/save_plan.hpp"

#include <numeric>

#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Collective. Carries parcels to their ranks.
plan::Parcels exchange(const Comm& comm, plan::Parcels parcels) {
  std::vector<Bytes> to(static_cast<std::size_t>(comm.size()));
  for (plan::Parcel& parcel : parcels) {
    to[static_cast<std::size_t>(parcel.rank)] = std::move(parcel.bytes);
  }
  std::vector<Bytes> from = comm.exchange(std::move(to));
  parcels.clear();
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    if (from[rank].empty()) continue;
    parcels.push_back({static_cast<std::int32_t>(rank), std::move(from[rank])});
  }
  return parcels;
}

/// What all ranks know of a layout.
struct Sizes {
  std::uint64_t block_bytes;
  std::uint64_t head_bytes;
  std::uint64_t tail_offset;
  std::uint64_t image_bytes;
  std::uint64_t value_bytes;
  std::uint64_t tensor_count;
};

/// Collective. Fills `plan.layout` in and returns the offsets of the tensors planned here.
std::vector<std::uint64_t> lay_out_together(const Comm& comm, const plan::Home& home,
                                            std::uint64_t largest_block, SavePlan& plan) {
  const std::vector<Bytes> from_homes = comm.gather(plan::tell_tensors(home));
  plan::Parcels offsets;
  WireWriter sizes;
  run_on_root(comm, [&] {
    plan::Structure structure = plan::hear_tensors(from_homes);
    plan.layout = storage::lay_out(structure.tensors, largest_block);
    offsets = plan::tell_offsets(structure, plan.layout.offsets);
    plan.tensors = std::move(structure.tensors);
    sizes.put(Sizes{plan.layout.block_bytes, plan.layout.head_bytes, plan.layout.tail_offset,
                    plan.layout.image_bytes, plan.layout.value_bytes, plan.layout.tensor_count});
  });
  const Bytes told = comm.broadcast(sizes.take());
  const Sizes known = WireReader(told).get<Sizes>();
  plan.layout.block_bytes = known.block_bytes;
  plan.layout.head_bytes = known.head_bytes;
  plan.layout.tail_offset = known.tail_offset;
  plan.layout.image_bytes = known.image_bytes;
  plan.layout.value_bytes = known.value_bytes;
  plan.layout.table_offset = known.tail_offset;
  plan.layout.table_entries = known.tail_offset / known.block_bytes;
  plan.tensor_count = known.tensor_count;

  const plan::Parcels told_here = exchange(comm, std::move(offsets));
  if (told_here.empty()) return {};
  return plan::hear_offsets(told_here.front().bytes);
}

}  // namespace

std::uint64_t SavePlan::memory() const noexcept {
  std::uint64_t bytes = routes.memory() + layout.head.capacity() +
                        layout.offsets.capacity() * sizeof(std::uint64_t) +
                        ownership.owners.capacity() * sizeof(std::int32_t);
  for (const TensorInfo& tensor : tensors) {
    bytes += sizeof tensor + tensor.name.capacity() + tensor.shape.capacity() * sizeof(std::uint64_t);
  }
  return bytes;
}

codec::Digest digest_of(const State& state, std::uint64_t largest_block) {
  WireWriter writer;
  writer.put(largest_block);
  plan::put_structure(writer, state);
  return codec::sha256(writer.take());
}

plan::Ownership agree_on_owners(const Comm& comm, std::span<const plan::Candidate> candidates,
                                std::span<const std::uint64_t> blocks, std::uint64_t block_bytes,
                                std::uint64_t first_block, std::uint64_t block_count) {
  const std::vector<Bytes> from = comm.gather(plan::tell_candidates(candidates));
  Bytes decision;
  if (comm.rank() == 0) decision = plan::decide_owners(from, blocks, comm.size());
  const Bytes told = comm.broadcast(std::move(decision));
  return plan::hear_owners(told, blocks, {block_bytes, first_block, {}}, block_count);
}

plan::Routes agree_on_routes(const Comm& comm, const plan::Ownership& ownership,
                             std::vector<plan::Holding> mine) {
  const plan::Parcels from =
      exchange(comm, plan::tell_owners(mine, ownership, comm.rank()));
  return plan::hear_holders(ownership, comm.rank(), comm.size(), std::move(mine), from);
}

ClaimsAtHome bring_home(const Comm& comm, std::span<const plan::Claim> claims) {
  ClaimsAtHome at{plan::claims_by_home(claims, comm.size()), {}};
  at.home = plan::hear_claims(exchange(comm, plan::tell_claims(claims, at.by_home)));
  run_together(
      comm, [&] { at.home.check(); }, Blame::nobody);
  return at;
}

SavePlan make_save_plan(const Comm& comm, std::span<const plan::Claim> claims,
                        std::uint64_t largest_block) {
  SavePlan plan;
  auto [by_home, home] = bring_home(comm, claims);
  const std::vector<std::uint64_t> offsets = lay_out_together(comm, home, largest_block, plan);
  const std::uint64_t block_bytes = plan.layout.block_bytes;
  home.place(offsets, block_bytes);
  const std::uint64_t first_block = plan.layout.head_bytes / block_bytes;
  std::vector<std::uint64_t> blocks(plan.layout.tail_offset / block_bytes - first_block);
  std::iota(blocks.begin(), blocks.end(), first_block);
  plan.ownership = agree_on_owners(comm, home.candidates(), blocks, block_bytes, first_block,
                                   blocks.size());
  const plan::Parcels shares =
      exchange(comm, plan::tell_shares(home, plan.ownership, comm.size()));
  plan.routes =
      agree_on_routes(comm, plan.ownership, plan::hear_shares(claims, by_home, shares));
  return plan;
}

}  // namespace cairn::coord
