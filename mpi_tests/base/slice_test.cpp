#include "cairn/slice.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/enumeration.hpp"
#include "base/message_of.hpp"

namespace cairn {
namespace {

using namespace testing;

template <class Action>
std::string refusal(Action&& action) {
  return message_of(ErrorCode::invalid_argument, std::forward<Action>(action));
}

/// Where a slice lies, without the global shape.
struct Box {
  Shape offset;
  Shape extent;

  bool operator==(const Box&) const = default;
};

Box box_of(const Slice& slice) {
  return {slice.offset, slice.extent};
}

TEST(ElementCount, OrdinaryThenTheProduct) {
  EXPECT_EQ(element_count(Shape{4096, 1024}), 4'194'304U);
  EXPECT_EQ(element_count(Shape{7}), 7U);
}

TEST(ElementCount, ScalarThenOne) {
  EXPECT_EQ(element_count(Shape{}), 1U);
}

TEST(ElementCount, AnyExtentZeroThenZeroHoweverLargeTheOthers) {
  constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(element_count(Shape{0}), 0U);
  EXPECT_EQ(element_count(Shape{huge, huge, 0}), 0U);
}

TEST(ElementCount, MoreThan63BitsThenRefused) {
  constexpr std::uint64_t half = std::uint64_t{1} << 32;
  EXPECT_EQ(element_count(Shape{std::numeric_limits<std::int64_t>::max()}),
            9'223'372'036'854'775'807U);
  EXPECT_EQ(element_count(Shape{half, half / 4}), std::uint64_t{1} << 62);
  EXPECT_EQ(refusal([] {
              element_count(Shape{half, half / 2});
            }),
            "shape [4294967296, 2147483648] has too many elements");
  EXPECT_EQ(refusal([] {
              element_count(Shape{half, half, half});
            }),
            "shape [4294967296, 4294967296, 4294967296] has too many elements");
}

TEST(ShapeText, AnyRankThenInBrackets) {
  EXPECT_EQ(to_string(Shape{4096, 1024}), "[4096, 1024]");
  EXPECT_EQ(to_string(Shape{7}), "[7]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(Whole, AnyShapeThenAllOfItFromTheOrigin) {
  EXPECT_EQ(whole({3, 4}), (Slice{{3, 4}, {0, 0}, {3, 4}}));
  EXPECT_EQ(whole({}), Slice{});
}

TEST(Split, EvenThenEqualParts) {
  EXPECT_EQ(split({12, 4}, 0, 0, 3), (Slice{{12, 4}, {0, 0}, {4, 4}}));
  EXPECT_EQ(split({12, 4}, 0, 1, 3), (Slice{{12, 4}, {4, 0}, {4, 4}}));
  EXPECT_EQ(split({12, 4}, 0, 2, 3), (Slice{{12, 4}, {8, 0}, {4, 4}}));
}

TEST(Split, InnerDimensionThenOnlyThatOneIsCut) {
  EXPECT_EQ(split({2, 6, 3}, 1, 1, 2), (Slice{{2, 6, 3}, {0, 3, 0}, {2, 3, 3}}));
  EXPECT_EQ(split({2, 6, 3}, 2, 2, 3), (Slice{{2, 6, 3}, {0, 0, 2}, {2, 6, 1}}));
}

TEST(Split, UnevenThenPartsDifferByOne) {
  EXPECT_EQ(box_of(split({10}, 0, 0, 4)), (Box{{0}, {2}}));
  EXPECT_EQ(box_of(split({10}, 0, 1, 4)), (Box{{2}, {3}}));
  EXPECT_EQ(box_of(split({10}, 0, 2, 4)), (Box{{5}, {2}}));
  EXPECT_EQ(box_of(split({10}, 0, 3, 4)), (Box{{7}, {3}}));
}

TEST(Split, MorePartsThanElementsThenSomeAreEmpty) {
  EXPECT_EQ(box_of(split({2}, 0, 0, 4)), (Box{{0}, {0}}));
  EXPECT_EQ(box_of(split({2}, 0, 1, 4)), (Box{{0}, {1}}));
  EXPECT_EQ(box_of(split({2}, 0, 2, 4)), (Box{{1}, {0}}));
  EXPECT_EQ(box_of(split({2}, 0, 3, 4)), (Box{{1}, {1}}));
}

TEST(Split, NothingThereThenEmptyParts) {
  EXPECT_EQ(box_of(split({0, 3}, 0, 1, 2)), (Box{{0, 0}, {0, 3}}));
}

TEST(Split, HugeThenNoOverflow) {
  // 999 * 2^62 / 1000, computed with another program.
  EXPECT_EQ(box_of(split({std::uint64_t{1} << 62}, 0, 999, 1000)),
            (Box{{4'607'074'332'408'960'516}, {4'611'686'018'427'388}}));
}

TEST(Split, AnyNumbersThenThePartsFollowEachOtherAndDifferByAtMostOne) {
  for (std::uint64_t n = 0; n <= 40; ++n) {
    for (int parts = 1; parts <= 13; ++parts) {
      std::uint64_t next = 0;
      for (int part = 0; part < parts; ++part) {
        const Box box = box_of(split({n}, 0, part, parts));
        EXPECT_EQ(box.offset[0], next);
        EXPECT_GE(box.extent[0], n / static_cast<std::uint64_t>(parts));
        EXPECT_LE(box.extent[0], n / static_cast<std::uint64_t>(parts) + 1);
        next += box.extent[0];
      }
      EXPECT_EQ(next, n) << parts << " parts";
    }
  }
}

TEST(Split, NoSuchDimensionThenRefused) {
  EXPECT_EQ(refusal([] {
              split({3, 4}, 2, 0, 1);
            }),
            "split along dimension 2 of shape [3, 4], which has 2");
  EXPECT_EQ(refusal([] { split({}, 0, 0, 1); }),
            "split along dimension 0 of shape [], which has 0");
}

TEST(Split, NoSuchPartThenRefused) {
  EXPECT_EQ(refusal([] { split({8}, 0, 4, 4); }),
            "split into part 4 of 4: expected 0 <= part < parts");
  EXPECT_EQ(refusal([] { split({8}, 0, -1, 4); }),
            "split into part -1 of 4: expected 0 <= part < parts");
  EXPECT_EQ(refusal([] { split({8}, 0, 0, 0); }),
            "split into part 0 of 0: expected 0 <= part < parts");
  EXPECT_EQ(refusal([] { split({8}, 0, 0, -3); }),
            "split into part 0 of -3: expected 0 <= part < parts");
}

TEST(Mesh, DevicesThenTheRanksFromTheFirstOn) {
  const Mesh mesh{{2, 3}, 4};
  EXPECT_EQ(mesh.size(), 6U);
  EXPECT_FALSE(mesh.contains(3));
  EXPECT_TRUE(mesh.contains(4));
  EXPECT_TRUE(mesh.contains(9));
  EXPECT_FALSE(mesh.contains(10));
  EXPECT_FALSE(mesh.contains(-1));
}

TEST(Mesh, WithoutDimensionsThenOneDevice) {
  EXPECT_EQ(Mesh{}.size(), 1U);
  EXPECT_TRUE(Mesh{}.contains(0));
  EXPECT_FALSE(Mesh{}.contains(1));
}

TEST(Mesh, ExtentZeroThenNoDevices) {
  EXPECT_EQ((Mesh{{0, 2}}.size()), 0U);
  EXPECT_FALSE((Mesh{{0, 2}}.contains(0)));
}

Box placed(const Shape& shape, const Mesh& mesh, const std::vector<int>& map, int rank,
           OptimizerShard shard = {}) {
  return box_of(place(shape, mesh, map, rank, shard));
}

TEST(Place, EntryKThenSplitAlongTheAxisThatIsKFromTheEnd) {
  // device_matrix[-1 - 1] = 2 along dimension 0, device_matrix[-1 - 0] = 3 along dimension 1.
  const Mesh mesh{{2, 3}};
  EXPECT_EQ(placed({4, 6}, mesh, {1, 0}, 0), (Box{{0, 0}, {2, 2}}));
  EXPECT_EQ(placed({4, 6}, mesh, {1, 0}, 1), (Box{{0, 2}, {2, 2}}));
  EXPECT_EQ(placed({4, 6}, mesh, {1, 0}, 2), (Box{{0, 4}, {2, 2}}));
  EXPECT_EQ(placed({4, 6}, mesh, {1, 0}, 3), (Box{{2, 0}, {2, 2}}));
  EXPECT_EQ(placed({4, 6}, mesh, {1, 0}, 5), (Box{{2, 4}, {2, 2}}));
}

TEST(Place, OtherWayRoundThenTheLastAxisSplitsTheFirstDimension) {
  const Mesh mesh{{2, 3}};
  EXPECT_EQ(placed({6, 4}, mesh, {0, 1}, 1), (Box{{2, 0}, {2, 2}}));
  EXPECT_EQ(placed({6, 4}, mesh, {0, 1}, 3), (Box{{0, 2}, {2, 2}}));
}

TEST(Place, MinusOneThenNotSplit) {
  EXPECT_EQ(placed({4, 6}, {{2, 3}}, {-1, -1}, 5), (Box{{0, 0}, {4, 6}}));
  EXPECT_EQ(placed({4, 6}, {{2, 3}}, {-1, 1}, 5), (Box{{0, 3}, {4, 3}}));
}

TEST(Place, RanksThatDifferInAnUnmappedAxisThenReplicas) {
  // {2, 3, 4}: rank = 12 i + 4 j + k. Only i and k are mapped.
  for (int i = 0; i < 2; ++i) {
    for (int k = 0; k < 4; ++k) {
      const Box expected{{static_cast<std::uint64_t>(i) * 2, 0, static_cast<std::uint64_t>(k)},
                         {2, 5, 1}};
      for (int j = 0; j < 3; ++j) {
        EXPECT_EQ(placed({4, 5, 4}, {{2, 3, 4}}, {2, -1, 0}, 12 * i + 4 * j + k), expected);
      }
    }
  }
}

TEST(Place, UnevenThenAsSplitDoes) {
  EXPECT_EQ(placed({5}, {{2}}, {0}, 0), (Box{{0}, {2}}));
  EXPECT_EQ(placed({5}, {{2}}, {0}, 1), (Box{{2}, {3}}));
  EXPECT_EQ(placed({1}, {{3}}, {0}, 0), (Box{{0}, {0}}));
  EXPECT_EQ(placed({1}, {{3}}, {0}, 2), (Box{{0}, {1}}));
}

TEST(Place, ScalarThenEverywhere) {
  EXPECT_EQ(placed({}, {{2, 3}}, {}, 4), (Box{{}, {}}));
}

TEST(Place, StageThenDevicesCountFromItsFirstRank) {
  const Mesh stage{{2, 2}, 4};
  EXPECT_EQ(placed({8, 2}, stage, {1, -1}, 4), (Box{{0, 0}, {4, 2}}));
  EXPECT_EQ(placed({8, 2}, stage, {1, -1}, 5), (Box{{0, 0}, {4, 2}}));
  EXPECT_EQ(placed({8, 2}, stage, {1, -1}, 6), (Box{{4, 0}, {4, 2}}));
}

TEST(Place, RankOutsideTheStageThenRefused) {
  for (const int rank : {3, 8, -1}) {
    EXPECT_EQ(refusal([&] {
                placed({8}, {{2, 2}, 4}, {0}, rank);
              }),
              "rank " + std::to_string(rank) + " is not in the mesh [2, 2] from rank 4 on");
  }
}

TEST(Place, OptimizerShardThenTheSliceIsSplitAgainOverItsReplicas) {
  // Rank 5 of {2, 4} is at (1, 1): part 1 of 4 is rows 4 to 8, of which it takes the second half.
  const Mesh mesh{{2, 4}};
  const OptimizerShard shard{4, 2};
  EXPECT_EQ(placed({16, 3}, mesh, {0, -1}, 1, shard), (Box{{4, 0}, {2, 3}}));
  EXPECT_EQ(placed({16, 3}, mesh, {0, -1}, 5, shard), (Box{{6, 0}, {2, 3}}));
}

TEST(Place, OptimizerShardOfStepOneThenNeighboursShare) {
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(placed({8}, {{4}}, {-1}, rank, {1, 4}),
              (Box{{static_cast<std::uint64_t>(rank) * 2}, {2}}));
  }
}

TEST(Place, OptimizerShardOfStepTwoThenEverySecondRankShares) {
  const std::vector<std::uint64_t> offsets{0, 0, 4, 4, 0, 0, 4, 4};
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(placed({8}, {{8}}, {-1}, rank, {2, 2}), (Box{{offsets[rank]}, {4}})) << rank;
  }
}

TEST(Place, OptimizerShardInAStageThenItsDevicesCountFromTheFirstRank) {
  EXPECT_EQ(placed({8}, {{4}, 2}, {-1}, 2, {1, 4}), (Box{{0}, {2}}));
  EXPECT_EQ(placed({8}, {{4}, 2}, {-1}, 3, {1, 4}), (Box{{2}, {2}}));
}

TEST(Place, OptimizerShardUnevenThenAsSplitDoes) {
  EXPECT_EQ(placed({5, 2}, {{2}}, {-1, -1}, 0, {1, 2}), (Box{{0, 0}, {2, 2}}));
  EXPECT_EQ(placed({5, 2}, {{2}}, {-1, -1}, 1, {1, 2}), (Box{{2, 0}, {3, 2}}));
  EXPECT_EQ(placed({1}, {{2}}, {-1}, 0, {1, 2}), (Box{{0}, {0}}));
}

TEST(Place, OptimizerShardWithDimensionZeroNotMappedThenStillAlongDimensionZero) {
  EXPECT_EQ(placed({4, 6}, {{2, 3}}, {-1, 0}, 4, {3, 2}), (Box{{2, 2}, {2, 2}}));
}

/// How many ranks hold each element of `shape`, in row-major order.
std::vector<std::uint64_t> holders_of_each(const Shape& shape, const Mesh& mesh,
                                           const std::vector<int>& map) {
  std::vector<std::uint64_t> holders(element_count(shape), 0);
  for (std::uint64_t device = 0; device < mesh.size(); ++device) {
    const int rank = mesh.first_rank + static_cast<int>(device);
    for (const std::int64_t element : image_positions(place(shape, mesh, map, rank), 1, 0)) {
      ++holders[static_cast<std::size_t>(element)];
    }
  }
  return holders;
}

TEST(Place, AnyMeshAndMapThenEachElementIsHeldOnceForEachUnmappedDevice) {
  for_seeds(200, [](Random& random) {
    Mesh mesh{{}, static_cast<int>(below(random, 5))};
    for (auto axes = below(random, 5); axes > 0; --axes) {
      mesh.device_matrix.push_back(1 + below(random, 3));
    }
    std::vector<int> free_axes;
    for (std::size_t k = 0; k < mesh.device_matrix.size(); ++k) {
      free_axes.push_back(static_cast<int>(k));
    }
    std::shuffle(free_axes.begin(), free_axes.end(), random);
    const Shape shape = random_shape(random);
    std::vector<int> map;
    std::uint64_t replicas = mesh.size();
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const bool split = !free_axes.empty() && below(random, 2) == 0;
      map.push_back(split ? free_axes.back() : -1);
      if (!split) continue;
      free_axes.pop_back();
      replicas /=
          mesh.device_matrix[mesh.device_matrix.size() - 1 - static_cast<std::size_t>(map.back())];
    }
    for (const std::uint64_t holders : holders_of_each(shape, mesh, map)) {
      EXPECT_EQ(holders, replicas);
    }
  });
}

TEST(Place, MapOfAnotherLengthThenRefused) {
  EXPECT_EQ(refusal([] {
              placed({4, 4}, {{2}}, {0}, 0);
            }),
            "tensor map has 1 entries for shape [4, 4]");
  EXPECT_EQ(refusal([] { placed({}, {{2}}, {-1}, 0); }), "tensor map has 1 entries for shape []");
}

TEST(Place, NoSuchAxisThenRefused) {
  EXPECT_EQ(refusal([] {
              placed({4}, {{2, 2}}, {2}, 0);
            }),
            "tensor map entry 2 for a device matrix of 2 dimensions: expected -1 to 1");
  EXPECT_EQ(refusal([] {
              placed({4}, {{2, 2}}, {-2}, 0);
            }),
            "tensor map entry -2 for a device matrix of 2 dimensions: expected -1 to 1");
  EXPECT_EQ(refusal([] { placed({4}, {}, {0}, 0); }),
            "tensor map entry 0 for a device matrix of 0 dimensions: expected -1");
}

TEST(Place, AxisUsedTwiceThenRefused) {
  EXPECT_EQ(refusal([] { placed({4, 4}, {{2, 2}}, {1, 1}, 0); }), "tensor map uses 1 twice");
}

TEST(Place, OptimizerShardOfNothingThenRefused) {
  EXPECT_EQ(refusal([] {
              placed({4}, {{2}}, {-1}, 0, {1, 0});
            }),
            "optimizer shard of step 1 and size 0: expected both at least 1");
  EXPECT_EQ(refusal([] {
              placed({4}, {{2}}, {-1}, 0, {0, 2});
            }),
            "optimizer shard of step 0 and size 2: expected both at least 1");
}

TEST(Place, OptimizerShardOfAScalarThenRefused) {
  EXPECT_EQ(refusal([] { placed({}, {{2}}, {}, 0, {1, 2}); }), "optimizer shard of a scalar");
  EXPECT_EQ(placed({}, {{2}}, {}, 0, {1, 1}), (Box{{}, {}}));
}

}  // namespace
}  // namespace cairn
