#pragma once

// The ranks of a job in one process: they plan a save or a load as src/coord does, with loops in
// the place of messages.

#include <map>
#include <string>
#include <vector>

#include "plan/home.hpp"
#include "plan/random_partition.hpp"

namespace cairn::testing {

/// Tensors and where they lie, with gaps between them. Blocks are small, so that there are many.
struct SimulatedImage {
  explicit SimulatedImage(Random& random) : block_bytes(16 * (1 + below(random, 8))) {
    first_block = below(random, 4);
    end = first_block * block_bytes;
    for (auto n = 1 + below(random, 6); n > 0; --n) {
      Shape shape(below(random, 4));
      for (auto& extent : shape) extent = below(random, 30) == 0 ? 0 : 1 + below(random, 12);
      const DType dtype = below(random, 2) == 0 ? DType::float64 : DType::uint8;
      end += below(random, 3) == 0 ? below(random, 150) : 0;
      tensors.push_back({{"t" + std::to_string(n), dtype, shape}, end});
      std::uint64_t bytes = dtype == DType::float64 ? 8 : 1;
      for (const std::uint64_t extent : shape) bytes *= extent;
      end += bytes;
    }
    block_count = (end + block_bytes - 1) / block_bytes - first_block;
  }

  const PlacedTensor& tensor(const std::string& name) const {
    return *std::ranges::find(tensors, name, &PlacedTensor::name);
  }
  /// Where each local byte of a claim lies.
  Positions positions(const plan::Claim& claim) const {
    return image_positions({claim.tensor.shape, claim.box.offset, claim.box.extent},
                           claim.tensor.dtype == DType::float64 ? 8 : 1,
                           tensor(claim.tensor.name).offset);
  }

  std::uint64_t block_bytes;
  std::uint64_t first_block;
  std::uint64_t block_count;
  std::uint64_t end;  ///< of the last tensor
  std::vector<PlacedTensor> tensors;
};

using ClaimsOfRanks = std::vector<std::vector<plan::Claim>>;

/// Every tensor in pieces, each on one rank or on several.
inline ClaimsOfRanks random_save(Random& random, const SimulatedImage& image, int ranks) {
  ClaimsOfRanks claims(static_cast<std::size_t>(ranks));
  for (const PlacedTensor& tensor : image.tensors) {
    for (plan::Box& box : random_partition(random, tensor.shape, below(random, 8))) {
      const plan::Claim piece{tensor, std::move(box)};
      const auto surely = below(random, claims.size());
      for (std::size_t rank = 0; rank < claims.size(); ++rank) {
        if (rank == surely || below(random, 4) == 0) claims[rank].push_back(piece);
      }
    }
  }
  for (auto& of_rank : claims) std::shuffle(of_rank.begin(), of_rank.end(), random);
  return claims;
}

/// Any boxes on any rank: they overlap, repeat, and leave much out.
inline ClaimsOfRanks random_load(Random& random, const SimulatedImage& image, int ranks) {
  ClaimsOfRanks claims(static_cast<std::size_t>(ranks));
  for (auto& of_rank : claims) {
    for (auto n = below(random, 8); n > 0; --n) {
      const PlacedTensor& tensor = image.tensors[below(random, image.tensors.size())];
      Slice slice = random_box(random, tensor.shape);
      of_rank.push_back({tensor, {std::move(slice.offset), std::move(slice.extent)}});
      if (below(random, 3) == 0) of_rank.push_back(of_rank.back());
    }
  }
  return claims;
}

/// What all ranks have agreed on.
struct SimulatedPlan {
  const SimulatedImage* image;
  ClaimsOfRanks claims;
  plan::Ownership ownership;
  std::vector<plan::Routes> routes;  ///< by rank
};

namespace detail {

using HoldingsOfRanks = std::vector<std::vector<plan::Holding>>;

inline plan::Holding holding_of(const SimulatedImage& image, const plan::Claim& claim,
                                std::uint32_t entry, std::vector<plan::BlockRange> blocks) {
  return {entry,
          image_place({claim.tensor.shape, claim.box.offset, claim.box.extent},
                      size_of(claim.tensor.dtype), image.tensor(claim.tensor.name).offset),
          std::move(blocks)};
}

inline plan::Ownership own(const SimulatedImage& image, std::vector<plan::Candidate> candidates,
                           std::span<const std::uint64_t> blocks, int ranks) {
  const auto owners =
      plan::assign_owners(blocks, plan::best_candidates(std::move(candidates)), ranks);
  plan::Ownership ownership{image.block_bytes, image.first_block, {}};
  ownership.owners.assign(image.block_count, plan::Ownership::kNobody);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ownership.owners[blocks[i] - image.first_block] = owners[i];
  }
  return ownership;
}

inline SimulatedPlan route(const SimulatedImage& image, ClaimsOfRanks claims,
                           plan::Ownership ownership, HoldingsOfRanks holdings) {
  const int ranks = static_cast<int>(claims.size());
  std::vector<std::vector<std::vector<plan::RemoteHolding>>> theirs(
      claims.size(), std::vector<std::vector<plan::RemoteHolding>>(claims.size()));
  for (int holder = 0; holder < ranks; ++holder) {
    const auto at = static_cast<std::size_t>(holder);
    for (auto& [owner, told] : plan::split_by_owner(holdings[at], ownership, holder)) {
      theirs[static_cast<std::size_t>(owner)][at] = std::move(told);
    }
  }
  SimulatedPlan plan{&image, std::move(claims), std::move(ownership), {}};
  for (int rank = 0; rank < ranks; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    plan.routes.push_back(
        plan::make_routes(plan.ownership, rank, std::move(holdings[at]), std::move(theirs[at])));
  }
  return plan;
}

}  // namespace detail

/// As make_save_plan: claims, homes, owners, shares, routes.
inline SimulatedPlan plan_save(const SimulatedImage& image, ClaimsOfRanks claims) {
  const int ranks = static_cast<int>(claims.size());
  std::vector<plan::Home> homes(claims.size());
  // By rank and home: which claims went there, in order.
  std::vector<std::map<std::size_t, std::vector<std::uint32_t>>> sent(claims.size());
  for (std::size_t rank = 0; rank < claims.size(); ++rank) {
    for (std::uint32_t i = 0; i < claims[rank].size(); ++i) {
      const plan::Claim& claim = claims[rank][i];
      const auto home = static_cast<std::size_t>(plan::home_of(claim.tensor.name, ranks));
      const auto order = static_cast<std::uint32_t>(sent[rank][home].size());
      homes[home].add(static_cast<std::int32_t>(rank), order, claim);
      sent[rank][home].push_back(i);
    }
  }
  std::vector<plan::Candidate> candidates;
  for (plan::Home& home : homes) {
    home.check();
    std::vector<std::uint64_t> offsets;
    for (const TensorInfo& tensor : home.tensors()) {
      offsets.push_back(image.tensor(tensor.name).offset);
    }
    home.place(offsets, image.block_bytes);
    std::ranges::copy(home.candidates(), std::back_inserter(candidates));
  }
  std::vector<std::uint64_t> blocks;
  for (std::uint64_t i = 0; i < image.block_count; ++i) blocks.push_back(image.first_block + i);
  plan::Ownership ownership = detail::own(image, std::move(candidates), blocks, ranks);

  detail::HoldingsOfRanks holdings(claims.size());
  for (std::size_t home = 0; home < homes.size(); ++home) {
    auto shares = homes[home].shares(ownership, ranks);
    for (std::size_t rank = 0; rank < claims.size(); ++rank) {
      const std::vector<std::uint32_t>& entries = sent[rank][home];
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (shares[rank][i].blocks.empty()) continue;
        holdings[rank].push_back(detail::holding_of(image, claims[rank][entries[i]], entries[i],
                                                    std::move(shares[rank][i].blocks)));
      }
    }
  }
  for (auto& of_rank : holdings) {
    std::ranges::sort(of_rank, {}, [](const plan::Holding& h) { return h.image.base; });
  }
  return detail::route(image, std::move(claims), std::move(ownership), std::move(holdings));
}

/// As a load does: only blocks that somebody wants have owners.
inline SimulatedPlan plan_load(const SimulatedImage& image, ClaimsOfRanks claims) {
  detail::HoldingsOfRanks holdings(claims.size());
  std::vector<plan::Candidate> candidates;
  std::map<std::uint64_t, bool> wanted;
  for (std::size_t rank = 0; rank < claims.size(); ++rank) {
    for (std::uint32_t i = 0; i < claims[rank].size(); ++i) {
      plan::Holding holding = detail::holding_of(image, claims[rank][i], i, {});
      for_each_block(holding.image, image.block_bytes,
                     [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                       plan::append_block(holding.blocks, block);
                       candidates.push_back({block, static_cast<std::int32_t>(rank), last - first});
                       wanted[block] = true;
                     });
      if (!holding.blocks.empty()) holdings[rank].push_back(std::move(holding));
    }
  }
  std::vector<std::uint64_t> blocks;
  for (const auto& [block, is_wanted] : wanted) blocks.push_back(block);
  plan::Ownership ownership =
      detail::own(image, std::move(candidates), blocks, static_cast<int>(claims.size()));
  return detail::route(image, std::move(claims), std::move(ownership), std::move(holdings));
}

}  // namespace cairn::testing
