#include "plan/home.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "base/message_of.hpp"
#include "plan/random_partition.hpp"

namespace cairn::plan {
namespace {

using namespace cairn::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

Claim claim(const std::string& name, const Slice& slice, DType dtype = DType::float32) {
  return {{name, dtype, slice.global}, {slice.offset, slice.extent}};
}

/// A home that is told claims as it is by the exchange: rank by rank, each in its own order.
class ToldHome {
 public:
  ToldHome& of(std::int32_t rank, Claim claim) {
    home_.add(rank, count_[rank]++, std::move(claim));
    return *this;
  }
  Home& home() { return home_; }
  std::string refusal() const {
    return message_of(ErrorCode::layout, [&] { home_.check(); });
  }

 private:
  Home home_;
  std::map<std::int32_t, std::uint32_t> count_;
};

TEST(HomeCheck, RanksDisagreeOnTheTypeThenBothAreNamed) {
  EXPECT_EQ(ToldHome()
                .of(1, claim("w", whole({4}), DType::float32))
                .of(2, claim("w", whole({4}), DType::float32))
                .of(3, claim("w", whole({4}), DType::bfloat16))
                .refusal(),
            "tensor \"w\": rank 1 says float32 [4], rank 3 says bfloat16 [4]");
}

TEST(HomeCheck, RanksDisagreeOnTheShapeThenBothAreNamed) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("w", {{4, 3}, {0, 0}, {2, 3}}))
                .of(1, claim("w", {{5, 3}, {2, 0}, {3, 3}}))
                .refusal(),
            "tensor \"w\": rank 0 says float32 [4, 3], rank 1 says float32 [5, 3]");
}

TEST(HomeCheck, OneRankDisagreesWithItselfThenItIsNamedTwice) {
  EXPECT_EQ(ToldHome().of(2, claim("w", whole({4}))).of(2, claim("w", whole({4, 1}))).refusal(),
            "tensor \"w\": rank 2 says float32 [4], rank 2 says float32 [4, 1]");
}

TEST(HomeCheck, EmptyBoxOfAnotherTypeThenStillADisagreement) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("w", whole({4})))
                .of(1, claim("w", {{4}, {0}, {0}}, DType::int32))
                .refusal(),
            "tensor \"w\": rank 0 says float32 [4], rank 1 says int32 [4]");
}

TEST(HomeCheck, IndexCoveredByNobodyThenItAndTheHoldersOfTheRest) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("w", {{4, 6}, {0, 0}, {2, 6}}))
                .of(3, claim("w", {{4, 6}, {2, 0}, {2, 4}}))
                .refusal(),
            "tensor \"w\" of shape [4, 6]: index [2, 4] is covered by no rank; of the tensor "
            "something is held by ranks 0, 3");
  EXPECT_EQ(ToldHome().of(2, claim("w", {{4}, {1}, {3}})).refusal(),
            "tensor \"w\" of shape [4]: index [0] is covered by no rank; of the tensor something "
            "is held by rank 2");
}

TEST(HomeCheck, OnlyEmptyBoxesThenNobodyHoldsAnything) {
  EXPECT_EQ(ToldHome().of(1, claim("w", {{4}, {4}, {0}})).refusal(),
            "tensor \"w\" of shape [4]: index [0] is covered by no rank; nobody holds any of it");
}

TEST(HomeCheck, ManyHoldersThenAFewAreListedEachOnce) {
  ToldHome told;
  for (std::int32_t rank = 0; rank < 12; ++rank) {
    told.of(rank, claim("w", split({25}, 0, rank, 25)));
    told.of(rank, claim("w", split({25}, 0, 12 + rank, 25)));
  }
  EXPECT_EQ(told.refusal(),
            "tensor \"w\" of shape [25]: index [24] is covered by no rank; of the tensor something "
            "is held by ranks 0, 1, 2, 3, 4, 5, 6, 7, …");
}

TEST(HomeCheck, IndexCoveredTwiceThenItAndBothBoxesAndTheirRanks) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("w", {{4, 4}, {0, 0}, {2, 4}}))
                .of(1, claim("w", {{4, 4}, {1, 0}, {3, 4}}))
                .of(2, claim("w", {{4, 4}, {1, 0}, {3, 4}}))
                .refusal(),
            "tensor \"w\" of shape [4, 4]: index [1, 0] is covered twice, by the box at [0, 0] of "
            "extent [2, 4] on rank 0 and the box at [1, 0] of extent [3, 4] on ranks 1, 2");
}

TEST(HomeCheck, ReplicasThenNotCoveredTwice) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("w", split({5}, 0, 0, 2)))
                .of(1, claim("w", split({5}, 0, 1, 2)))
                .of(2, claim("w", split({5}, 0, 0, 2)))
                .of(3, claim("w", split({5}, 0, 1, 2)))
                .refusal(),
            "");
}

TEST(HomeCheck, ScalarTensorWithoutElementsAndEmptyBoxesThenFine) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("loss", {}))
                .of(0, claim("none", whole({0, 3})))
                .of(1, claim("loss", {}))
                .of(1, claim("w", {{4}, {4}, {0}}))
                .of(2, claim("w", whole({4})))
                .refusal(),
            "");
}

TEST(HomeCheck, OneTensorOfManyIsWrongThenThatOneIsNamed) {
  EXPECT_EQ(ToldHome()
                .of(0, claim("a", whole({4})))
                .of(0, claim("b", {{4}, {0}, {3}}))
                .of(0, claim("c", whole({4})))
                .refusal(),
            "tensor \"b\" of shape [4]: index [3] is covered by no rank; of the tensor something "
            "is held by rank 0");
}

TEST(HomeTensors, ToldByManyThenEachOnce) {
  ToldHome told;
  told.of(0, claim("b", split({4}, 0, 0, 2))).of(0, claim("a", {}, DType::int64));
  told.of(1, claim("b", split({4}, 0, 1, 2))).of(1, claim("c", whole({0})));
  EXPECT_THAT(told.home().tensors(),
              ElementsAre(TensorInfo{"b", DType::float32, {4}}, TensorInfo{"a", DType::int64, {}},
                          TensorInfo{"c", DType::float32, {0}}));
}

TEST(HomeCandidates, TwoTensorsInABlockThenTheirBytesTogether) {
  // Blocks of 100 bytes; a has bytes 300 to 400, b bytes 400 to 480, c bytes 480 to 520.
  ToldHome told;
  told.of(0, claim("a", whole({25}))).of(0, claim("c", whole({10})));
  told.of(1, claim("b", split({20}, 0, 0, 2)));
  told.of(2, claim("b", split({20}, 0, 1, 2)));
  told.home().place(std::vector<std::uint64_t>{300, 480, 400}, 100);
  EXPECT_THAT(told.home().candidates(),
              UnorderedElementsAre(Candidate{3, 0, 100}, Candidate{4, 0, 20}, Candidate{4, 1, 40},
                                   Candidate{4, 2, 40}, Candidate{5, 0, 20}));
}

TEST(HomeCandidates, ManyReplicasThenAFewForEachBlockAndAllInTurn) {
  ToldHome told;
  for (std::int32_t rank = 0; rank < 12; ++rank) told.of(rank, claim("w", whole({25 * 24})));
  told.home().place(std::vector<std::uint64_t>{0}, 100);
  std::map<std::uint64_t, std::size_t> of_block;
  std::vector<std::size_t> of_rank(12, 0);
  for (const Candidate& c : told.home().candidates()) {
    ++of_block[c.block];
    ++of_rank[static_cast<std::size_t>(c.rank)];
    EXPECT_EQ(c.bytes, 100U);
  }
  EXPECT_EQ(of_block.size(), 24U);
  for (const auto& [block, count] : of_block) EXPECT_EQ(count, kCandidatesPerBlock) << block;
  EXPECT_THAT(of_rank, Each(24 * kCandidatesPerBlock / 12));
}

using Shares = std::vector<std::vector<Share>>;

/// All blocks from 0 on have the same owner.
Ownership owned_by(std::int32_t rank, std::size_t blocks, std::uint64_t block_bytes) {
  return {block_bytes, 0, std::vector<std::int32_t>(blocks, rank)};
}

std::vector<std::uint64_t> blocks_of(const Share& share) {
  std::vector<std::uint64_t> blocks;
  for (const BlockRange& range : share.blocks) {
    for (std::uint64_t block = range.first; block < range.last; ++block) blocks.push_back(block);
  }
  return blocks;
}

TEST(HomeShares, ReplicasAndAnOwnerWithoutThemThenAllHoldersTakeTurns) {
  ToldHome told;
  for (std::int32_t rank = 1; rank <= 4; ++rank) told.of(rank, claim("w", whole({25 * 20})));
  told.home().place(std::vector<std::uint64_t>{0}, 100);
  const Shares shares = told.home().shares(owned_by(0, 20, 100), 5);
  ASSERT_EQ(shares.size(), 5U);
  EXPECT_TRUE(shares[0].empty());
  for (std::size_t rank = 1; rank <= 4; ++rank) {
    ASSERT_EQ(shares[rank].size(), 1U);
    EXPECT_EQ(blocks_of(shares[rank][0]).size(), 5U) << "rank " << rank;
  }
}

TEST(HomeShares, OwnerHoldsAReplicaThenItIsTheOneThatGives) {
  ToldHome told;
  for (std::int32_t rank = 0; rank < 4; ++rank) told.of(rank, claim("w", whole({25 * 4})));
  told.home().place(std::vector<std::uint64_t>{0}, 100);
  const Shares shares = told.home().shares({100, 0, {2, 0, 0, 3}}, 4);
  EXPECT_THAT(blocks_of(shares[0][0]), ElementsAre(1, 2));
  EXPECT_THAT(blocks_of(shares[1][0]), ElementsAre());
  EXPECT_THAT(blocks_of(shares[2][0]), ElementsAre(0));
  EXPECT_THAT(blocks_of(shares[3][0]), ElementsAre(3));
}

TEST(HomeShares, SmallerThanABlockThenFromOneHolderEvenAcrossABoundary) {
  // 96 bytes at 50: in blocks 0 and 1, whose owners hold it both.
  ToldHome told;
  for (std::int32_t rank = 0; rank < 3; ++rank) told.of(rank, claim("w", whole({24})));
  told.home().place(std::vector<std::uint64_t>{50}, 100);
  const Shares shares = told.home().shares({100, 0, {2, 1}}, 3);
  EXPECT_THAT(blocks_of(shares[0][0]), ElementsAre());
  EXPECT_THAT(blocks_of(shares[1][0]), ElementsAre());
  EXPECT_THAT(blocks_of(shares[2][0]), ElementsAre(0, 1));
  EXPECT_EQ(shares[2][0].tensor_offset, 50U);
}

TEST(HomeShares, SeveralClaimsOfARankThenInTheOrderItSentThem) {
  ToldHome told;
  told.of(0, claim("b", split({4}, 0, 1, 2)));
  told.of(0, claim("none", whole({0})));
  told.of(0, claim("a", whole({8})));
  told.of(0, claim("b", split({4}, 0, 0, 2)));
  // In the order of tensors(): b, none, a.
  told.home().place(std::vector<std::uint64_t>{100, kNoOffset, 32}, 32);
  const Shares shares = told.home().shares(owned_by(0, 4, 32), 1);
  ASSERT_EQ(shares[0].size(), 4U);
  EXPECT_EQ(shares[0][0].tensor_offset, 100U);
  EXPECT_THAT(blocks_of(shares[0][0]), ElementsAre(3));
  EXPECT_THAT(blocks_of(shares[0][1]), ElementsAre());
  EXPECT_EQ(shares[0][2].tensor_offset, 32U);
  EXPECT_THAT(blocks_of(shares[0][2]), ElementsAre(1));
  EXPECT_EQ(shares[0][3].tensor_offset, 100U);
  EXPECT_THAT(blocks_of(shares[0][3]), ElementsAre(3));
}

TEST(HomeShares, OneRankHoldsABoxTwiceThenItGivesItOnce) {
  ToldHome told;
  told.of(0, claim("w", whole({8}))).of(0, claim("w", whole({8})));
  told.home().place(std::vector<std::uint64_t>{0}, 32);
  const Shares shares = told.home().shares(owned_by(0, 1, 32), 1);
  EXPECT_EQ(blocks_of(shares[0][0]).size() + blocks_of(shares[0][1]).size(), 1U);
}

/// Random tensors in random pieces with random replicas, and random owners.
struct RandomHome {
  explicit RandomHome(Random& random)
      : ranks(1 + static_cast<int>(below(random, 6))), block_bytes(8 + below(random, 60)) {
    std::vector<std::vector<Claim>> by_rank(static_cast<std::size_t>(ranks));
    std::map<std::string, std::uint64_t> offset_of;
    std::uint64_t end = 0;
    for (const char* name : {"a", "b", "c"}) {
      const Shape shape = random_shape(random);
      for (Box& box : random_partition(random, shape, below(random, 6))) {
        const Claim piece{{name, DType::float32, shape}, std::move(box)};
        const auto surely = below(random, by_rank.size());
        for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
          if (rank == surely || below(random, 3) == 0) by_rank[rank].push_back(piece);
        }
      }
      offset_of[name] = end + below(random, 30);
      std::uint64_t elements = 1;
      for (const std::uint64_t n : shape) elements *= n;
      end = offset_of[name] + elements * 4;
    }
    for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
      std::shuffle(by_rank[rank].begin(), by_rank[rank].end(), random);
      for (const Claim& piece : by_rank[rank]) told.of(static_cast<std::int32_t>(rank), piece);
    }
    std::vector<std::uint64_t> offsets;
    for (const TensorInfo& tensor : told.home().tensors()) {
      offsets.push_back(offset_of.at(tensor.name));
    }
    told.home().place(offsets, block_bytes);
    ownership = {block_bytes, 0, {}};
    for (std::uint64_t block = 0; block * block_bytes < end; ++block) {
      ownership.owners.push_back(static_cast<std::int32_t>(below(random, by_rank.size())));
    }
    claims = std::move(by_rank);
    offsets_ = std::move(offset_of);
  }

  /// The bytes of a claim in each block where it has any.
  std::map<std::uint64_t, std::uint64_t> blocks_met(const Claim& piece) const {
    std::map<std::uint64_t, std::uint64_t> blocks;
    for (const std::int64_t at :
         image_positions({piece.tensor.shape, piece.box.offset, piece.box.extent}, 4,
                         offsets_.at(piece.tensor.name))) {
      ++blocks[static_cast<std::uint64_t>(at) / block_bytes];
    }
    return blocks;
  }

  int ranks;
  std::uint64_t block_bytes;
  ToldHome told;
  Ownership ownership;
  std::vector<std::vector<Claim>> claims;

 private:
  std::map<std::string, std::uint64_t> offsets_;
};

/// A box of a tensor, and a block of it.
using Part = std::tuple<std::string, Box, std::uint64_t>;

TEST(HomeShares, AnyReplicasThenEachBlockOfEachBoxComesFromOneHolder) {
  for_seeds(500, [](Random& random) {
    RandomHome c(random);
    ASSERT_EQ(c.told.refusal(), "");
    const Shares shares = c.told.home().shares(c.ownership, c.ranks);
    ASSERT_EQ(shares.size(), c.claims.size());
    std::map<Part, int> expected;
    std::map<Part, int> given;
    for (std::size_t rank = 0; rank < shares.size(); ++rank) {
      ASSERT_EQ(shares[rank].size(), c.claims[rank].size());
      for (std::size_t i = 0; i < shares[rank].size(); ++i) {
        const Claim& piece = c.claims[rank][i];
        for (const auto& [block, bytes] : c.blocks_met(piece)) {
          expected[{piece.tensor.name, piece.box, block}] = 1;
        }
        for (const std::uint64_t block : blocks_of(shares[rank][i])) {
          ++given[{piece.tensor.name, piece.box, block}];
        }
      }
    }
    EXPECT_EQ(given, expected);
  });
}

TEST(HomeCandidates, AnyReplicasThenEachIsAHolderWithItsBytes) {
  for_seeds(500, [](Random& random) {
    RandomHome c(random);
    std::map<std::pair<std::uint64_t, std::int32_t>, std::uint64_t> held;
    std::map<std::uint64_t, std::size_t> holders;
    const std::vector<Candidate> candidates = c.told.home().candidates();
    for (const Candidate& candidate : candidates) ++holders[candidate.block];
    for (const auto& [block, count] : holders) EXPECT_LE(count, kCandidatesPerBlock) << block;
    std::set<std::uint64_t> met;
    for (std::size_t rank = 0; rank < c.claims.size(); ++rank) {
      for (const Claim& piece : c.claims[rank]) {
        for (const auto& [block, bytes] : c.blocks_met(piece)) {
          met.insert(block);
          held[{block, static_cast<std::int32_t>(rank)}] += bytes;
        }
      }
    }
    EXPECT_EQ(holders.size(), met.size());
    for (const Candidate& candidate : candidates) {
      const auto most = held[std::pair(candidate.block, candidate.rank)];
      EXPECT_GT(candidate.bytes, 0U);
      // Less where a box of it has more replicas than are passed on.
      EXPECT_LE(candidate.bytes, most) << "block " << candidate.block;
      const bool all_passed_on = c.ranks <= static_cast<int>(kCandidatesPerBlock);
      EXPECT_GE(candidate.bytes, all_passed_on ? most : 0);
    }
  });
}

}  // namespace
}  // namespace cairn::plan
