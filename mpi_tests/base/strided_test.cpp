#include "base/strided.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "base/enumeration.hpp"

namespace cairn {
namespace {

using namespace testing;

constexpr std::uint64_t kSeeds = 4000;

/// The place of each local byte as the members of `place` tell it.
Positions bytes_told_by(const Strided& place) {
  Shape counts;
  Strides strides;
  for (const Strided::Dim& dim : place.dims) {
    counts.push_back(dim.count);
    strides.push_back(dim.stride);
  }
  return positions_of(counts, place.run, strides, place.base);
}

struct ImageCase {
  explicit ImageCase(Random& random)
      : slice(random_slice(random)),
        element_bytes(random_element_bytes(random)),
        base(below(random, 3) == 0 ? 0 : below(random, 500)),
        image(image_place(slice, element_bytes, base)),
        expected(image_positions(slice, element_bytes, base)) {}

  Slice slice;
  std::size_t element_bytes;
  std::uint64_t base;
  Strided image;
  Positions expected;
};

struct MemoryCase {
  MemoryCase(Random& random, const Shape& extent, std::size_t element_bytes)
      : memory(random_memory(random, extent, element_bytes)),
        place(memory_place(extent, element_bytes, memory.strides)),
        expected(positions_of(extent, element_bytes, memory.strides, 0)) {}

  MemoryLayout memory;
  Strided place;
  Positions expected;
};

TEST(ImagePlace, AnyBoxThenEachByteIsWhereItsIndexSays) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    EXPECT_EQ(bytes_told_by(c.image), c.expected);
    EXPECT_EQ(c.image.bytes(), c.expected.size());
    if (!c.expected.empty()) {
      EXPECT_EQ(c.image.end(), static_cast<std::uint64_t>(c.expected.back()) + 1);
    }
  });
}

TEST(ImagePlace, WholeTensorThenOneRun) {
  EXPECT_EQ(image_place({{3, 4, 5}, {0, 0, 0}, {3, 4, 5}}, 8, 64), (Strided{64, 480, {}}));
}

TEST(ImagePlace, WholeRowsThenOneRun) {
  EXPECT_EQ(image_place({{6, 4}, {2, 0}, {3, 4}}, 4, 100), (Strided{132, 48, {}}));
}

TEST(ImagePlace, ColumnsThenARunForEachRow) {
  EXPECT_EQ(image_place({{6, 4}, {0, 1}, {6, 2}}, 4, 100), (Strided{104, 8, {{6, 16}}}));
}

TEST(ImagePlace, InnermostOfThreeSplitThenTheOuterTwoAreOneDimension) {
  EXPECT_EQ(image_place({{5, 6, 8}, {0, 0, 4}, {5, 6, 2}}, 1, 0), (Strided{4, 2, {{30, 8}}}));
}

TEST(ImagePlace, ScalarThenOneElement) {
  EXPECT_EQ(image_place({}, 8, 24), (Strided{24, 8, {}}));
}

TEST(ImagePlace, EmptyThenNoBytes) {
  EXPECT_EQ(image_place({{4, 0}, {0, 0}, {4, 0}}, 8, 24).bytes(), 0U);
  EXPECT_EQ(image_place({{4, 4}, {4, 0}, {0, 4}}, 8, 24).bytes(), 0U);
}

TEST(ImagePlace, BeyondFourGiBThenNothingIsCutOff) {
  constexpr std::uint64_t n = std::uint64_t{1} << 20;
  const Strided image = image_place({{n, n}, {n - 2, n - 3}, {2, 3}}, 8, 4096);
  EXPECT_EQ(image, (Strided{static_cast<std::int64_t>(4096 + ((n - 2) * n + n - 3) * 8),
                            24,
                            {{2, static_cast<std::int64_t>(n * 8)}}}));
  EXPECT_EQ(image.end(), 4096 + n * n * 8);
  EXPECT_EQ(bytes_before(image, 4096 + n * n * 8 - 10), 38U);
}

TEST(MemoryPlace, AnyStridesThenEachByteIsWhereTheySay) {
  for_seeds(kSeeds, [](Random& random) {
    const MemoryCase c(random, random_shape(random), random_element_bytes(random));
    EXPECT_EQ(bytes_told_by(c.place), c.expected);
    EXPECT_EQ(c.place.bytes(), c.expected.size());
  });
}

TEST(MemoryPlace, WithoutStridesThenOneRun) {
  for_seeds(kSeeds, [](Random& random) {
    const Shape extent = random_shape(random);
    const std::size_t size = random_element_bytes(random);
    const Strided place = memory_place(extent, size, std::nullopt);
    EXPECT_TRUE(place.dims.empty());
    EXPECT_EQ(bytes_told_by(place), positions_of(extent, size, row_major_strides(extent, size), 0));
  });
}

TEST(MemoryPlace, PaddedRowsThenARunForEach) {
  EXPECT_EQ(memory_place(Shape{3, 4}, 8, Strides{40, 8}), (Strided{0, 32, {{3, 40}}}));
}

TEST(MemoryPlace, BackwardsThenNegativeStrides) {
  EXPECT_EQ(memory_place(Shape{3, 4}, 8, Strides{-32, 8}), (Strided{0, 32, {{3, -32}}}));
  EXPECT_EQ(memory_place(Shape{3, 4}, 8, Strides{-32, -8}), (Strided{0, 8, {{12, -8}}}));
}

TEST(BytesBefore, AnyPositionThenAsManyAsLieBelowIt) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    if (c.expected.empty()) return;
    const auto end = static_cast<std::uint64_t>(c.expected.back()) + 20;
    std::uint64_t count = 0;
    for (std::uint64_t position = 0; position < end; ++position) {
      EXPECT_EQ(bytes_before(c.image, position), count) << "position " << position;
      if (count < c.expected.size() && c.expected[count] == static_cast<std::int64_t>(position)) {
        ++count;
      }
    }
  });
}

TEST(BytesBefore, EmptySliceThenNone) {
  const Strided image = image_place({{4, 4}, {2, 0}, {0, 4}}, 8, 24);
  for (const std::uint64_t position : {0, 24, 25, 1000}) {
    EXPECT_EQ(bytes_before(image, position), 0U);
  }
}

/// Walks `place` from a random byte to its end by random steps.
void walk(Random& random, const Strided& place, const Positions& expected) {
  std::uint64_t local = below(random, expected.size());
  RunCursor cursor(place, local);
  while (local < expected.size()) {
    const std::uint64_t left = cursor.left();
    ASSERT_GT(left, 0U);
    ASSERT_LE(local + left, expected.size());
    EXPECT_EQ(cursor.position(), expected[local]);
    EXPECT_TRUE(is_one_run(expected, local, local + left));
    const std::uint64_t step = below(random, 2) == 0 ? left : 1 + below(random, left);
    cursor.advance(step);
    local += step;
  }
}

TEST(RunCursor, FromAnyByteOfAnImageByAnyStepsThenAlwaysAtItsPlace) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    for (int i = 0; i < 10 && !c.expected.empty(); ++i) walk(random, c.image, c.expected);
  });
}

TEST(RunCursor, FromAnyByteInMemoryByAnyStepsThenAlwaysAtItsPlace) {
  for_seeds(kSeeds, [](Random& random) {
    const MemoryCase c(random, random_shape(random), random_element_bytes(random));
    for (int i = 0; i < 10 && !c.expected.empty(); ++i) walk(random, c.place, c.expected);
  });
}

TEST(RunCursor, OnWholeRowsThenItSeesThemAtOnce) {
  const Strided image = image_place({{6, 4}, {0, 1}, {6, 2}}, 4, 0);
  EXPECT_EQ(RunCursor(image, 0).left(), 8U);
  EXPECT_EQ(RunCursor(image, 11).left(), 5U);
}

TEST(CopyLocal, BetweenAnyTwoPlacesThenTheRangeAndNothingElse) {
  for_seeds(kSeeds, [](Random& random) {
    const Shape extent = random_shape(random);
    const std::size_t size = random_element_bytes(random);
    const MemoryCase from(random, extent, size);
    const MemoryCase to(random, extent, size);
    const auto source = random_bytes(random, from.memory.bytes);
    auto target = random_bytes(random, to.memory.bytes);
    const auto [first, last] = random_range(random, from.expected.size());

    auto expected = target;
    for (std::uint64_t i = first; i < last; ++i) {
      expected[static_cast<std::size_t>(to.memory.origin + to.expected[i])] =
          source[static_cast<std::size_t>(from.memory.origin + from.expected[i])];
    }
    copy_local(from.place, source.data() + from.memory.origin, to.place,
               target.data() + to.memory.origin, first, last);
    EXPECT_EQ(target, expected) << "bytes " << first << " to " << last;
  });
}

TEST(CopyLocal, IntoAPackedRangeThenItsFirstByteIsAtZero) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    const auto image = random_bytes(random, c.expected.empty() ? 0 : c.expected.back() + 1);
    const auto [first, last] = random_range(random, c.expected.size());
    std::vector<std::byte> packed(last - first);
    copy_local(c.image, image.data(), packed_place(first, last), packed.data(), first, last);
    for (std::uint64_t i = first; i < last; ++i) {
      EXPECT_EQ(packed[i - first], image[static_cast<std::size_t>(c.expected[i])]) << "byte " << i;
    }
  });
}

TEST(SingleRun, OfAnImageThenExactlyWhereTheBytesLieSideBySide) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    for (int i = 0; i < 20 && !c.expected.empty(); ++i) {
      const auto [first, last] = random_range(random, c.expected.size());
      if (first == last) continue;
      const auto run = single_run(c.image, first, last);
      EXPECT_EQ(run.has_value(), is_one_run(c.expected, first, last)) << first << " to " << last;
      EXPECT_EQ(run.value_or(c.expected[first]), c.expected[first]);
    }
  });
}

TEST(SingleRun, OfMemoryThenOnlyWhereTheBytesLieSideBySide) {
  for_seeds(kSeeds, [](Random& random) {
    const MemoryCase c(random, random_shape(random), random_element_bytes(random));
    for (int i = 0; i < 20 && !c.expected.empty(); ++i) {
      const auto [first, last] = random_range(random, c.expected.size());
      if (first == last) continue;
      const auto run = single_run(c.place, first, last);
      if (!run) continue;
      EXPECT_TRUE(is_one_run(c.expected, first, last)) << first << " to " << last;
      EXPECT_EQ(*run, c.expected[first]);
    }
  });
}

using Visits = std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>;

/// The blocks that `expected`, which ascends, has bytes in, each with its first and last byte.
Visits blocks_of(const Positions& expected, std::uint64_t block_bytes) {
  Visits visits;
  for (std::uint64_t i = 0; i < expected.size(); ++i) {
    const std::uint64_t block = static_cast<std::uint64_t>(expected[i]) / block_bytes;
    if (visits.empty() || std::get<0>(visits.back()) != block) visits.emplace_back(block, i, i);
    std::get<2>(visits.back()) = i + 1;
  }
  return visits;
}

TEST(ForEachBlock, AnyBlockSizeThenEachBlockThatHoldsBytesOnceAndInOrder) {
  for_seeds(kSeeds, [](Random& random) {
    const ImageCase c(random);
    const std::uint64_t block_bytes = 1 + below(random, below(random, 2) == 0 ? 10 : 300);
    Visits visits;
    for_each_block(c.image, block_bytes,
                   [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                     visits.emplace_back(block, first, last);
                   });
    EXPECT_EQ(visits, blocks_of(c.expected, block_bytes)) << "blocks of " << block_bytes;
  });
}

}  // namespace
}  // namespace cairn
