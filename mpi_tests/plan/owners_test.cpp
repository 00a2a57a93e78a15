#include "plan/owners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "base/enumeration.hpp"

namespace cairn::plan {
namespace {

using namespace cairn::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Candidates = std::vector<Candidate>;
using Blocks = std::vector<std::uint64_t>;
using Owners = std::vector<std::int32_t>;

Blocks blocks_from(std::uint64_t first, std::uint64_t count) {
  Blocks blocks(count);
  std::iota(blocks.begin(), blocks.end(), first);
  return blocks;
}

/// How many blocks each rank owns.
std::vector<std::uint64_t> loads(const Owners& owners, int ranks) {
  std::vector<std::uint64_t> load(static_cast<std::size_t>(ranks), 0);
  for (const std::int32_t owner : owners) ++load.at(static_cast<std::size_t>(owner));
  return load;
}

/// Every rank holds all of every block.
Candidates replicas(const Blocks& blocks, int ranks) {
  Candidates all;
  for (const std::uint64_t block : blocks) {
    for (int rank = 0; rank < ranks; ++rank) all.push_back({block, rank, 100});
  }
  return all;
}

TEST(BestCandidates, OfOneRankSeveralTimesThenSummed) {
  EXPECT_THAT(best_candidates({{7, 1, 10}, {5, 1, 3}, {7, 1, 20}, {7, 1, 1}}),
              ElementsAre(Candidate{5, 1, 3}, Candidate{7, 1, 31}));
}

TEST(BestCandidates, NoneThenNone) {
  EXPECT_THAT(best_candidates({}), IsEmpty());
}

TEST(BestCandidates, MoreThanAreKeptThenThoseWithMost) {
  EXPECT_THAT(
      best_candidates({{3, 0, 5}, {3, 1, 50}, {3, 2, 6}, {3, 3, 40}, {3, 4, 30}, {3, 5, 7}}),
      ElementsAre(Candidate{3, 1, 50}, Candidate{3, 3, 40}, Candidate{3, 4, 30},
                  Candidate{3, 5, 7}));
}

using BytesOfRank = std::map<std::int32_t, std::uint64_t>;

/// The bytes of the few that hold most, largest first.
std::vector<std::uint64_t> largest(const BytesOfRank& held) {
  std::vector<std::uint64_t> bytes;
  for (const auto& [rank, n] : held) bytes.push_back(n);
  std::ranges::sort(bytes, std::ranges::greater{});
  bytes.resize(std::min(bytes.size(), kCandidatesPerBlock));
  return bytes;
}

TEST(BestCandidates, AnyThenTheMostBytesOfEachBlockAndNoRankTwice) {
  for_seeds(500, [](Random& random) {
    Candidates all;
    std::map<std::uint64_t, BytesOfRank> held;
    for (auto n = below(random, 60); n > 0; --n) {
      const Candidate c{below(random, 6), static_cast<std::int32_t>(below(random, 9)),
                        1 + below(random, 4)};
      all.push_back(c);
      held[c.block][c.rank] += c.bytes;
    }
    const Candidates best = best_candidates(all);
    EXPECT_TRUE(std::ranges::is_sorted(best, {}, &Candidate::block));
    std::map<std::uint64_t, std::vector<std::uint64_t>> kept;
    std::map<std::uint64_t, BytesOfRank> ranks;
    for (const Candidate& c : best) {
      EXPECT_EQ(c.bytes, held[c.block][c.rank]);
      EXPECT_TRUE(ranks[c.block].emplace(c.rank, c.bytes).second) << "rank " << c.rank;
      kept[c.block].push_back(c.bytes);
    }
    EXPECT_EQ(kept.size(), held.size());
    for (const auto& [block, of_ranks] : held) EXPECT_EQ(kept[block], largest(of_ranks));
  });
}

TEST(BestCandidates, ReplicasThenEachIsKeptEquallyOften) {
  constexpr int kRanks = 10;
  std::vector<std::uint64_t> kept(kRanks, 0);
  for (const Candidate& c : best_candidates(replicas(blocks_from(3, 50), kRanks))) {
    ++kept[static_cast<std::size_t>(c.rank)];
  }
  EXPECT_THAT(kept, Each(50 * kCandidatesPerBlock / kRanks));
}

TEST(BestCandidates, GatheredFromSeveralPlacesThenPassedOnAgain) {
  // Each home passes on what it knows of a block; the second choice is among the first ones.
  Candidates both = best_candidates({{1, 0, 5}, {1, 1, 9}});
  for (const Candidate& c : best_candidates({{1, 1, 2}, {1, 2, 10}})) both.push_back(c);
  EXPECT_THAT(best_candidates(both),
              ElementsAre(Candidate{1, 1, 11}, Candidate{1, 2, 10}, Candidate{1, 0, 5}));
}

TEST(AssignOwners, EachBlockHeldByOneRankThenThatRank) {
  const Candidates candidates{{4, 2, 10}, {5, 0, 10}, {6, 1, 10},
                              {7, 2, 10}, {8, 1, 10}, {9, 0, 10}};
  EXPECT_THAT(assign_owners(blocks_from(4, 6), candidates, 3), ElementsAre(2, 0, 1, 2, 1, 0));
}

TEST(AssignOwners, TwoHoldersThenTheOneWithMore) {
  EXPECT_THAT(
      assign_owners(Blocks{0, 1}, Candidates{{0, 0, 40}, {0, 1, 60}, {1, 0, 60}, {1, 1, 40}}, 2),
      ElementsAre(1, 0));
}

TEST(AssignOwners, HolderOfEverythingThenNoMoreThanItsShare) {
  Candidates candidates;
  for (std::uint64_t block = 0; block < 10; ++block) candidates.push_back({block, 1, 100});
  const Owners owners = assign_owners(blocks_from(0, 10), candidates, 4);
  EXPECT_THAT(loads(owners, 4)[1], 3U);
  EXPECT_THAT(loads(owners, 4), Each(::testing::Le(3U)));
}

TEST(AssignOwners, HolderWithMostIsFullThenTheNextBestHolder) {
  // The share of two ranks of four blocks is two: rank 0 is full after blocks 0 and 1.
  const Candidates candidates{{0, 0, 9}, {1, 0, 9}, {2, 0, 9}, {2, 1, 1}, {3, 0, 9}, {3, 1, 1}};
  EXPECT_THAT(assign_owners(blocks_from(0, 4), candidates, 2), ElementsAre(0, 0, 1, 1));
}

TEST(AssignOwners, ReplicasThenAllShareEqually) {
  for (const int ranks : {1, 2, 3, 8, 13}) {
    const Blocks blocks = blocks_from(5, static_cast<std::uint64_t>(ranks) * 6);
    const Owners owners = assign_owners(blocks, best_candidates(replicas(blocks, ranks)), ranks);
    EXPECT_THAT(loads(owners, ranks), Each(6U)) << ranks << " ranks";
  }
}

TEST(AssignOwners, NobodyHoldsAnythingThenStillShared) {
  EXPECT_THAT(loads(assign_owners(blocks_from(0, 12), {}, 4), 4), Each(3U));
}

TEST(AssignOwners, FewerBlocksThanRanksThenNoRankHasTwo) {
  const Owners owners = assign_owners(Blocks{8, 9}, Candidates{{8, 6, 1}, {9, 6, 1}}, 7);
  EXPECT_EQ(owners[0], 6);
  EXPECT_NE(owners[1], 6);
}

TEST(AssignOwners, NoBlocksThenNoOwners) {
  EXPECT_THAT(assign_owners({}, Candidates{{8, 6, 1}}, 7), IsEmpty());
}

TEST(AssignOwners, OnlySomeBlocksThenCandidatesOfOthersAreNotMistakenForTheirs) {
  const Candidates candidates{{2, 1, 10}, {3, 0, 10}, {5, 1, 10}, {7, 0, 10}, {9, 1, 10}};
  EXPECT_THAT(assign_owners(Blocks{3, 5, 8}, candidates, 2), ElementsAre(0, 1, 0));
}

TEST(AssignOwners, AnyCandidatesThenNoRankHasMoreThanItsShare) {
  for_seeds(1000, [](Random& random) {
    const int ranks = 1 + static_cast<int>(below(random, 9));
    const Blocks blocks = blocks_from(below(random, 5), below(random, 40));
    Candidates candidates;
    for (auto n = below(random, 200); n > 0 && !blocks.empty(); --n) {
      // Low ranks hold more.
      const auto most = 1 + below(random, static_cast<std::uint64_t>(ranks));
      candidates.push_back({blocks[below(random, blocks.size())],
                            static_cast<std::int32_t>(below(random, most)), 1 + below(random, 9)});
    }
    const Owners owners = assign_owners(blocks, best_candidates(candidates), ranks);
    ASSERT_EQ(owners.size(), blocks.size());
    const std::uint64_t n = static_cast<std::uint64_t>(ranks);
    const std::uint64_t share = blocks.size() / n + (blocks.size() % n > 0 ? 1 : 0);
    EXPECT_THAT(loads(owners, ranks), Each(::testing::Le(share)));
  });
}

TEST(AssignOwners, AnyCandidatesThenAnotherRankOnlyWhereAllHoldersAreFull) {
  for_seeds(1000, [](Random& random) {
    const int ranks = 1 + static_cast<int>(below(random, 6));
    const Blocks blocks = blocks_from(0, 1 + below(random, 30));
    std::map<std::uint64_t, BytesOfRank> held;
    Candidates candidates;
    for (const std::uint64_t block : blocks) {
      for (auto n = below(random, 4); n > 0; --n) {
        const auto rank =
            static_cast<std::int32_t>(below(random, static_cast<std::uint64_t>(ranks)));
        if (held[block].emplace(rank, 1).second) candidates.push_back({block, rank, 1});
      }
    }
    const Owners owners = assign_owners(blocks, candidates, ranks);
    const std::uint64_t n = static_cast<std::uint64_t>(ranks);
    const std::uint64_t share = blocks.size() / n + (blocks.size() % n > 0 ? 1 : 0);
    std::vector<std::uint64_t> load(n, 0);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (!held[blocks[i]].contains(owners[i])) {
        for (const auto& [rank, bytes] : held[blocks[i]]) {
          EXPECT_EQ(load[static_cast<std::size_t>(rank)], share) << "block " << blocks[i];
        }
      }
      ++load[static_cast<std::size_t>(owners[i])];
    }
  });
}

}  // namespace
}  // namespace cairn::plan
