#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cairn::plan {

/// A rank that holds some of a block already.
struct Candidate {
  std::uint64_t block;
  std::int32_t rank;
  std::uint64_t bytes;

  bool operator==(const Candidate&) const = default;
};

/// How many candidates of a block anybody passes on: enough to choose well, few enough that what is
/// known of a block does not grow with the number of ranks.
inline constexpr std::size_t kCandidatesPerBlock = 4;

/// Sums the bytes of equal (block, rank) and keeps the best `kCandidatesPerBlock` of each block, in
/// order of blocks. Which of equal holders stay turns with the block, so that replicas share work.
std::vector<Candidate> best_candidates(std::vector<Candidate> candidates);

/// Gives each of `blocks` (ascending) an owner: a rank that holds much of it, where no rank has more
/// than its share, the number of blocks over ranks rounded up. In the order of `blocks`.
std::vector<std::int32_t> assign_owners(std::span<const std::uint64_t> blocks,
                                        std::span<const Candidate> candidates, int ranks);

}  // namespace cairn::plan
