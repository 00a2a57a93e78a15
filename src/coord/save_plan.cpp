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

#include <algorithm>
#include <numeric>

#include "coord/together.hpp"

namespace cairn::coord {
namespace {

void put_ranges(WireWriter& writer, std::span<const plan::BlockRange> ranges) {
  writer.put_all(ranges);
}

/// Which claims went to which home, in order.
std::vector<std::vector<std::uint32_t>> claims_by_home(std::span<const plan::Claim> claims,
                                                       int ranks) {
  std::vector<std::vector<std::uint32_t>> by_home(static_cast<std::size_t>(ranks));
  for (std::uint32_t i = 0; i < claims.size(); ++i) {
    by_home[static_cast<std::size_t>(plan::home_of(claims[i].tensor.name, ranks))].push_back(i);
  }
  return by_home;
}

plan::Home gather_claims(const Comm& comm, std::span<const plan::Claim> claims,
                         const std::vector<std::vector<std::uint32_t>>& by_home) {
  std::vector<Bytes> to(by_home.size());
  for (std::size_t home = 0; home < by_home.size(); ++home) {
    WireWriter writer;
    for (const std::uint32_t i : by_home[home]) plan::put_claim(writer, claims[i]);
    to[home] = writer.take();
  }
  plan::Home home;
  const std::vector<Bytes> from = comm.exchange(std::move(to));
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    WireReader reader(from[rank]);
    for (std::uint32_t order = 0; !reader.done(); ++order) {
      home.add(static_cast<std::int32_t>(rank), order, plan::get_claim(reader));
    }
  }
  return home;
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

/// Rank 0 puts the homes' tensors in order and lays the file out.
struct Structure {
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<std::size_t>> place_of;  ///< by home: where its tensors are in `tensors`
};

Structure sort_tensors(const std::vector<Bytes>& from_homes) {
  Structure structure;
  std::vector<TensorInfo> all;
  std::vector<std::size_t> count;
  for (const Bytes& bytes : from_homes) {
    const std::size_t before = all.size();
    for (WireReader reader(bytes); !reader.done();) all.push_back(plan::get_tensor(reader));
    count.push_back(all.size() - before);
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return all[i].key(); });
  std::vector<std::size_t> place(all.size());
  for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  auto next = place.begin();
  for (const std::size_t n : count) {
    structure.place_of.emplace_back(next, next + static_cast<std::ptrdiff_t>(n));
    next += static_cast<std::ptrdiff_t>(n);
  }
  structure.tensors.reserve(all.size());
  for (const std::size_t i : order) structure.tensors.push_back(std::move(all[i]));
  return structure;
}

/// Collective. Fills `plan.layout` in and returns the offsets of the tensors planned here.
std::vector<std::uint64_t> lay_out_together(const Comm& comm, const plan::Home& home,
                                            std::uint64_t largest_block, SavePlan& plan) {
  WireWriter writer;
  for (const TensorInfo& tensor : home.tensors()) plan::put_tensor(writer, tensor);
  const std::vector<Bytes> from_homes = comm.gather(writer.take());
  std::vector<Bytes> offsets(static_cast<std::size_t>(comm.size()));
  WireWriter sizes;
  run_on_root(comm, [&] {
    Structure structure = sort_tensors(from_homes);
    plan.layout = storage::lay_out(structure.tensors, largest_block);
    for (std::size_t h = 0; h < offsets.size(); ++h) {
      WireWriter of_home;
      for (const std::size_t i : structure.place_of[h]) of_home.put(plan.layout.offsets[i]);
      offsets[h] = of_home.take();
    }
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

  const std::vector<Bytes> mine = comm.exchange(std::move(offsets));
  std::vector<std::uint64_t> own;
  for (WireReader reader(mine.front()); !reader.done();) own.push_back(reader.get<std::uint64_t>());
  return own;
}

/// Collective. What this rank puts into the file: a holding for each claim that has a share.
std::vector<plan::Holding> take_shares(const Comm& comm, std::span<const plan::Claim> claims,
                                       const std::vector<std::vector<std::uint32_t>>& by_home,
                                       const plan::Home& home, const plan::Ownership& ownership) {
  std::vector<Bytes> to(static_cast<std::size_t>(comm.size()));
  const auto shares = home.shares(ownership, comm.size());
  for (std::size_t rank = 0; rank < to.size(); ++rank) {
    WireWriter writer;
    for (const plan::Share& share : shares[rank]) {
      writer.put(share.tensor_offset);
      put_ranges(writer, share.blocks);
    }
    to[rank] = writer.take();
  }
  const std::vector<Bytes> from = comm.exchange(std::move(to));
  std::vector<plan::Holding> holdings;
  for (std::size_t h = 0; h < from.size(); ++h) {
    WireReader reader(from[h]);
    for (const std::uint32_t i : by_home[h]) {
      const auto offset = reader.get<std::uint64_t>();
      auto blocks = reader.get_all<plan::BlockRange>();
      if (blocks.empty()) continue;
      const plan::Claim& claim = claims[i];
      holdings.push_back({i,
                          image_place({claim.tensor.shape, claim.box.offset, claim.box.extent},
                                      size_of(claim.tensor.dtype), offset),
                          std::move(blocks)});
    }
  }
  // By place in the file: neighbours there are neighbours in the messages.
  std::ranges::sort(holdings, {}, [](const plan::Holding& h) { return h.image.base; });
  return holdings;
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

plan::Ownership agree_on_owners(const Comm& comm, std::vector<plan::Candidate> candidates,
                                std::span<const std::uint64_t> blocks, std::uint64_t block_bytes,
                                std::uint64_t first_block, std::uint64_t block_count) {
  WireWriter writer;
  writer.put_all(std::span<const plan::Candidate>(candidates));
  const std::vector<Bytes> from = comm.gather(writer.take());
  WireWriter decision;
  if (comm.rank() == 0) {
    std::vector<plan::Candidate> all;
    for (const Bytes& bytes : from) {
      const auto some = WireReader(bytes).get_all<plan::Candidate>();
      all.insert(all.end(), some.begin(), some.end());
    }
    all = plan::best_candidates(std::move(all));
    decision.put_all(std::span<const std::int32_t>(plan::assign_owners(blocks, all, comm.size())));
  }
  const Bytes told = comm.broadcast(decision.take());
  const auto owners = WireReader(told).get_all<std::int32_t>();
  plan::Ownership ownership{block_bytes, first_block, {}};
  ownership.owners.assign(block_count, plan::Ownership::kNobody);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ownership.owners[blocks[i] - first_block] = owners[i];
  }
  return ownership;
}

plan::Routes agree_on_routes(const Comm& comm, const plan::Ownership& ownership,
                             std::vector<plan::Holding> mine) {
  const auto told = plan::split_by_owner(mine, ownership, comm.rank(), comm.size());
  std::vector<Bytes> to(told.size());
  for (std::size_t owner = 0; owner < told.size(); ++owner) {
    WireWriter writer;
    for (const plan::RemoteHolding& holding : told[owner]) {
      writer.put(holding.image.base).put(holding.image.run);
      writer.put_all(std::span<const Strided::Dim>(holding.image.dims));
      put_ranges(writer, holding.blocks);
    }
    to[owner] = writer.take();
  }
  const std::vector<Bytes> from = comm.exchange(std::move(to));
  std::vector<std::vector<plan::RemoteHolding>> theirs(from.size());
  for (std::size_t holder = 0; holder < from.size(); ++holder) {
    for (WireReader reader(from[holder]); !reader.done();) {
      plan::RemoteHolding holding;
      holding.image.base = reader.get<std::int64_t>();
      holding.image.run = reader.get<std::uint64_t>();
      holding.image.dims = reader.get_all<Strided::Dim>();
      holding.blocks = reader.get_all<plan::BlockRange>();
      theirs[holder].push_back(std::move(holding));
    }
  }
  return plan::make_routes(ownership, comm.rank(), std::move(mine), std::move(theirs));
}

ClaimsAtHome bring_home(const Comm& comm, std::span<const plan::Claim> claims) {
  ClaimsAtHome at{claims_by_home(claims, comm.size()), {}};
  at.home = gather_claims(comm, claims, at.by_home);
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
  plan.routes = agree_on_routes(comm, plan.ownership,
                                take_shares(comm, claims, by_home, home, plan.ownership));
  return plan;
}

}  // namespace cairn::coord
