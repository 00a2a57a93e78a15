#include "plan/owners.hpp"

#include <algorithm>
#include <tuple>

namespace cairn::plan {
namespace {

/// Keeps the best few of one block's candidates, which have distinct ranks in ascending order.
void keep_best(std::span<const Candidate> of_block, std::vector<Candidate>& kept) {
  std::vector<Candidate> order(of_block.begin(), of_block.end());
  // Equal holders are looked at from a place that turns with the block.
  std::ranges::rotate(order, order.begin() + static_cast<std::ptrdiff_t>(
                                                 of_block.front().block % order.size()));
  std::ranges::stable_sort(order, std::ranges::greater{}, &Candidate::bytes);
  order.resize(std::min(order.size(), kCandidatesPerBlock));
  kept.insert(kept.end(), order.begin(), order.end());
}

}  // namespace

std::vector<Candidate> best_candidates(std::vector<Candidate> candidates) {
  std::ranges::sort(candidates, {}, [](const Candidate& c) { return std::tie(c.block, c.rank); });
  std::vector<Candidate> kept;
  std::vector<Candidate> of_block;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (!of_block.empty() && of_block.back().rank == c.rank) {
      of_block.back().bytes += c.bytes;
    } else {
      of_block.push_back(c);
    }
    if (i + 1 == candidates.size() || candidates[i + 1].block != c.block) {
      keep_best(of_block, kept);
      of_block.clear();
    }
  }
  return kept;
}

std::vector<std::int32_t> assign_owners(std::span<const std::uint64_t> blocks,
                                        std::span<const Candidate> candidates, int ranks) {
  const std::uint64_t share =
      (blocks.size() + static_cast<std::uint64_t>(ranks) - 1) / static_cast<std::uint64_t>(ranks);
  std::vector<std::uint64_t> load(static_cast<std::size_t>(ranks), 0);
  std::vector<std::int32_t> owners;
  owners.reserve(blocks.size());
  std::int32_t spare = 0;  // the first rank with room, when no candidate has any
  auto next = candidates.begin();
  for (const std::uint64_t block : blocks) {
    while (next != candidates.end() && next->block < block) ++next;
    const Candidate* best = nullptr;
    for (; next != candidates.end() && next->block == block; ++next) {
      const auto taken = load[static_cast<std::size_t>(next->rank)];
      if (taken >= share) continue;
      if (best == nullptr || next->bytes > best->bytes ||
          (next->bytes == best->bytes && taken < load[static_cast<std::size_t>(best->rank)])) {
        best = &*next;
      }
    }
    while (load[static_cast<std::size_t>(spare)] >= share) ++spare;
    owners.push_back(best != nullptr ? best->rank : spare);
    ++load[static_cast<std::size_t>(owners.back())];
  }
  return owners;
}

}  // namespace cairn::plan
