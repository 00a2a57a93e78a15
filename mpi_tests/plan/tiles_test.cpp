#include "plan/tiles.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "plan/cover.hpp"
#include "plan/cover_proof.hpp"

namespace cairn::plan {
namespace {

std::vector<Box> tiles_of(const Box& box, const Shape& chunk, std::uint64_t most) {
  std::vector<Box> all;
  Tiles tiles(box, chunk, most);
  while (auto tile = tiles.next()) all.push_back(*tile);
  return all;
}

TEST(Tiles, WithoutChunksTheyAreRangesOfRows) {
  EXPECT_EQ(tiles_of({{2, 0}, {5, 10}}, {1, 1}, 25),
            (std::vector<Box>{{{2, 0}, {2, 10}}, {{4, 0}, {2, 10}}, {{6, 0}, {1, 10}}}));
}

TEST(Tiles, EndOnChunksWhereverTheBoxBegins) {
  EXPECT_EQ(tiles_of({{3, 0}, {9, 4}}, {4, 4}, 16),
            (std::vector<Box>{{{3, 0}, {1, 4}}, {{4, 0}, {4, 4}}, {{8, 0}, {4, 4}}}));
}

TEST(Tiles, AChunkThatDoesNotFitIsCut) {
  EXPECT_EQ(tiles_of({{0, 0}, {4, 6}}, {4, 6}, 12),
            (std::vector<Box>{{{0, 0}, {2, 6}}, {{2, 0}, {2, 6}}}));
}

TEST(Tiles, AnEmptyBoxHasNoneAndAScalarOne) {
  EXPECT_TRUE(tiles_of({{0, 0}, {4, 0}}, {1, 1}, 10).empty());
  EXPECT_EQ(tiles_of({{}, {}}, {}, 1).size(), 1U);
}

TEST(Tiles, OfOneDimensionOfGreatestExtentDoNotOverflow) {
  const std::uint64_t large = std::uint64_t{1} << 61;
  Tiles tiles({{large - 10}, {10}}, {7}, 1000);
  const auto tile = tiles.next();
  ASSERT_TRUE(tile);
  EXPECT_EQ(*tile, (Box{{large - 10}, {10}}));
  EXPECT_FALSE(tiles.next());
}

TEST(Tiles, OfRandomBoxesCoverThemOnceAndFit) {
  std::mt19937 random(7);
  const auto draw = [&](std::uint64_t from, std::uint64_t to) {
    return from + random() % (to - from + 1);
  };
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(i);
    const std::size_t dimensions = draw(1, 4);
    Box box;
    Shape chunk;
    for (std::size_t d = 0; d < dimensions; ++d) {
      box.offset.push_back(draw(0, 9));
      box.extent.push_back(draw(1, 9));
      chunk.push_back(draw(1, 6));
    }
    const std::uint64_t most = draw(1, 200);
    std::vector<Box> tiles = tiles_of(box, chunk, most);
    for (Box& tile : tiles) {
      EXPECT_LE(element_count(tile.extent), most);
      for (std::size_t d = 0; d < dimensions; ++d) tile.offset[d] -= box.offset[d];
    }
    EXPECT_FALSE(find_defect(box.extent, pointers_to(tiles)));
  }
}

}  // namespace
}  // namespace cairn::plan
