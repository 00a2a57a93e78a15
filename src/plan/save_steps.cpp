#include "plan/save_steps.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace cairn::plan {

ClaimsByHome claims_by_home(std::span<const Claim> claims, int ranks) {
  std::map<std::int32_t, std::vector<std::uint32_t>> sorted;
  for (std::uint32_t i = 0; i < claims.size(); ++i) {
    sorted[home_of(claims[i].tensor.name, ranks)].push_back(i);
  }
  ClaimsByHome by_home;
  by_home.reserve(sorted.size());
  for (auto& [home, places] : sorted) by_home.push_back({home, std::move(places)});
  return by_home;
}

Parcels tell_claims(std::span<const Claim> claims, const ClaimsByHome& by_home) {
  Parcels to;
  to.reserve(by_home.size());
  for (const ClaimsOfHome& of : by_home) {
    WireWriter writer;
    for (const std::uint32_t i : of.claims) put_claim(writer, claims[i]);
    to.push_back({of.home, writer.take()});
  }
  return to;
}

Home hear_claims(const Parcels& from) {
  Home home;
  for (const Parcel& parcel : from) {
    WireReader reader(parcel.bytes);
    for (std::uint32_t order = 0; !reader.done(); ++order) {
      home.add(parcel.rank, order, get_claim(reader));
    }
  }
  return home;
}

Bytes tell_tensors(const Home& home) {
  WireWriter writer;
  for (const TensorInfo& tensor : home.tensors()) put_tensor(writer, tensor);
  return writer.take();
}

Structure hear_tensors(std::span<const Bytes> from) {
  Structure structure;
  std::vector<TensorInfo> all;
  std::vector<std::size_t> count;
  for (const Bytes& bytes : from) {
    const std::size_t before = all.size();
    for (WireReader reader(bytes); !reader.done();) all.push_back(get_tensor(reader));
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

Parcels tell_offsets(const Structure& structure, std::span<const std::uint64_t> offsets) {
  Parcels to;
  for (std::size_t home = 0; home < structure.place_of.size(); ++home) {
    if (structure.place_of[home].empty()) continue;
    WireWriter writer;
    for (const std::size_t i : structure.place_of[home]) writer.put(offsets[i]);
    to.push_back({static_cast<std::int32_t>(home), writer.take()});
  }
  return to;
}

std::vector<std::uint64_t> hear_offsets(std::span<const std::byte> told) {
  std::vector<std::uint64_t> offsets;
  for (WireReader reader(told); !reader.done();) offsets.push_back(reader.get<std::uint64_t>());
  return offsets;
}

Bytes tell_candidates(std::span<const Candidate> candidates) {
  WireWriter writer;
  writer.put_all(candidates);
  return writer.take();
}

Bytes decide_owners(std::span<const Bytes> from, std::span<const std::uint64_t> blocks,
                    int ranks) {
  std::vector<Candidate> all;
  for (const Bytes& bytes : from) {
    const auto some = WireReader(bytes).get_all<Candidate>();
    all.insert(all.end(), some.begin(), some.end());
  }
  all = best_candidates(std::move(all));
  WireWriter decision;
  decision.put_all(std::span<const std::int32_t>(assign_owners(blocks, all, ranks)));
  return decision.take();
}

Ownership hear_owners(std::span<const std::byte> told, std::span<const std::uint64_t> blocks,
                      Ownership empty, std::uint64_t block_count) {
  const auto owners = WireReader(told).get_all<std::int32_t>();
  empty.owners.assign(block_count, Ownership::kNobody);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    empty.owners[blocks[i] - empty.first_block] = owners[i];
  }
  return empty;
}

Parcels tell_shares(const Home& home, const Ownership& ownership, int ranks) {
  Parcels to;
  if (home.empty()) return to;
  const auto shares = home.shares(ownership, ranks);
  to.reserve(shares.size());
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    if (shares[rank].empty()) continue;
    std::size_t bytes = 0;
    for (const Share& share : shares[rank]) {
      bytes += sizeof share.tensor_offset + sizeof(std::uint64_t) +
               share.blocks.size() * sizeof(BlockRange);
    }
    WireWriter writer(bytes);
    for (const Share& share : shares[rank]) {
      writer.put(share.tensor_offset);
      writer.put_all(std::span<const BlockRange>(share.blocks));
    }
    to.push_back({static_cast<std::int32_t>(rank), writer.take()});
  }
  return to;
}

std::vector<Holding> hear_shares(std::span<const Claim> claims, const ClaimsByHome& by_home,
                                 const Parcels& from) {
  std::vector<Holding> holdings;
  for (std::size_t h = 0; h < by_home.size(); ++h) {  // every home of mine has answered
    WireReader reader(from.at(h).bytes);
    for (const std::uint32_t i : by_home[h].claims) {
      const auto offset = reader.get<std::uint64_t>();
      auto blocks = reader.get_all<BlockRange>();
      if (blocks.empty()) continue;
      const Claim& claim = claims[i];
      holdings.push_back({i,
                          image_place({claim.tensor.shape, claim.box.offset, claim.box.extent},
                                      size_of(claim.tensor.dtype), offset),
                          std::move(blocks)});
    }
  }
  // By place in the file: neighbours there are neighbours in the messages.
  std::ranges::sort(holdings, {}, [](const Holding& h) { return h.image.base; });
  return holdings;
}

Parcels tell_owners(std::span<const Holding> mine, const Ownership& ownership, int rank) {
  Parcels to;
  for (const auto& [owner, told] : split_by_owner(mine, ownership, rank)) {
    WireWriter writer;
    for (const RemoteHolding& holding : told) {
      writer.put(holding.image.base).put(holding.image.run);
      writer.put_all(std::span<const Strided::Dim>(holding.image.dims));
      writer.put_all(std::span<const BlockRange>(holding.blocks));
    }
    to.push_back({owner, writer.take()});
  }
  return to;
}

Routes hear_holders(const Ownership& ownership, int rank, int ranks, std::vector<Holding> mine,
                    const Parcels& from) {
  std::vector<std::vector<RemoteHolding>> theirs(static_cast<std::size_t>(ranks));
  for (const Parcel& parcel : from) {
    for (WireReader reader(parcel.bytes); !reader.done();) {
      RemoteHolding holding;
      holding.image.base = reader.get<std::int64_t>();
      holding.image.run = reader.get<std::uint64_t>();
      holding.image.dims = reader.get_all<Strided::Dim>();
      holding.blocks = reader.get_all<BlockRange>();
      theirs[static_cast<std::size_t>(parcel.rank)].push_back(std::move(holding));
    }
  }
  return make_routes(ownership, rank, std::move(mine), std::move(theirs));
}

}  // namespace cairn::plan
