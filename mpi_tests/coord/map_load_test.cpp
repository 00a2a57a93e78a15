#include "coord/map_load.hpp"

#include <gtest/gtest.h>

namespace cairn::coord {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// One rank may own all that the others read.
TEST(RowsToHandOut, OneRankGetsAllThenItIsNoMoreThanOfOneRank) {
  for (const int ranks : {1, 2, 3, 16, 100, 256}) {
    for (const std::uint64_t row : {1, 4, 512, 65536}) {
      const std::uint64_t bytes = rows_to_hand_out(row, ranks) * row * static_cast<unsigned>(ranks);
      EXPECT_LE(bytes, 16 * kMiB) << ranks << " ranks, rows of " << row;
      EXPECT_GT(bytes, 7 * kMiB) << ranks << " ranks, rows of " << row;
    }
  }
}

TEST(RowsToHandOut, RanksAreVeryManyOrRowsLongThenAtLeastOneAnd64KiB) {
  EXPECT_EQ(rows_to_hand_out(1024, 100'000), 64U);
  EXPECT_EQ(rows_to_hand_out(kMiB, 1000), 1U);
  EXPECT_EQ(rows_to_hand_out(1000 * kMiB, 1), 1U);
}

}  // namespace
}  // namespace cairn::coord
