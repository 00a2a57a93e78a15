#include "plan/cover.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "base/slowness.hpp"
#include "plan/cover_proof.hpp"
#include "plan/random_partition.hpp"

namespace cairn::plan {
namespace {

using namespace cairn::testing;

using Boxes = std::vector<Box>;

std::optional<CoverDefect> defect_of(const Shape& shape, const Boxes& boxes) {
  return find_defect(shape, pointers_to(boxes));
}

bool holds(const Box& box, const Shape& index) {
  for (std::size_t d = 0; d < index.size(); ++d) {
    if (index[d] < box.offset[d] || index[d] >= box.offset[d] + box.extent[d]) return false;
  }
  return true;
}

std::size_t holders_of(const Boxes& boxes, const Shape& index) {
  return static_cast<std::size_t>(
      std::ranges::count_if(boxes, [&](const Box& box) { return holds(box, index); }));
}

/// The first index that not exactly one of the boxes holds, by looking at each.
std::optional<Shape> first_defect(const Shape& shape, const Boxes& boxes) {
  std::optional<Shape> first;
  for_each_index(shape, [&](const Shape& index) {
    if (!first && holders_of(boxes, index) != 1) first = index;
  });
  return first;
}

void expect_as_enumerated(const Shape& shape, const Boxes& boxes) {
  const auto expected = first_defect(shape, boxes);
  const auto found = defect_of(shape, boxes);
  ASSERT_EQ(found.has_value(), expected.has_value());
  if (!found) return;
  ASSERT_EQ(found->index, *expected);
  ASSERT_EQ(found->overlap.has_value(), holders_of(boxes, *expected) > 0);
  if (!found->overlap) return;
  const auto [a, b] = *found->overlap;
  EXPECT_NE(a, b);
  EXPECT_TRUE(holds(boxes.at(a), found->index));
  EXPECT_TRUE(holds(boxes.at(b), found->index));
}

Box random_box_in(Random& random, const Shape& shape) {
  Slice slice = random_box(random, shape);
  return {std::move(slice.offset), std::move(slice.extent)};
}

TEST(Cover, AnyPartitionThenExact) {
  for_seeds(2000, [](Random& random) {
    const Shape shape = random_shape(random);
    EXPECT_FALSE(defect_of(shape, random_partition(random, shape, below(random, 40))));
  });
}

TEST(Cover, PartitionWithAnyBoxChangedThenTheFirstDefectInRowMajorOrder) {
  for_seeds(2000, [](Random& random) {
    const Shape shape = random_shape(random);
    Boxes boxes = random_partition(random, shape, below(random, 20));
    boxes[below(random, boxes.size())] = random_box_in(random, shape);
    expect_as_enumerated(shape, boxes);
  });
}

TEST(Cover, AnyBoxesThenTheFirstDefectInRowMajorOrder) {
  for_seeds(2000, [](Random& random) {
    const Shape shape = random_shape(random);
    Boxes boxes;
    for (auto n = below(random, 6); n > 0; --n) boxes.push_back(random_box_in(random, shape));
    expect_as_enumerated(shape, boxes);
  });
}

TEST(Cover, BoxDroppedThenItsFirstIndexIsNobodys) {
  const Boxes boxes{{{0, 0}, {2, 4}}, {{2, 0}, {2, 2}}};
  const auto defect = defect_of({4, 4}, boxes);
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, (Shape{2, 2}));
  EXPECT_FALSE(defect->overlap);
}

TEST(Cover, BoxesOverlapThenTheFirstCommonIndexAndBothAreNamed) {
  const Boxes boxes{{{2, 0}, {2, 4}}, {{0, 0}, {3, 2}}, {{0, 2}, {2, 2}}};
  const auto defect = defect_of({4, 4}, boxes);
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, (Shape{2, 0}));
  ASSERT_TRUE(defect->overlap);
  EXPECT_EQ(std::min(defect->overlap->first, defect->overlap->second), 0U);
  EXPECT_EQ(std::max(defect->overlap->first, defect->overlap->second), 1U);
}

TEST(Cover, GapBeforeAnOverlapThenTheGap) {
  const Boxes boxes{{{0}, {1}}, {{2}, {3}}, {{3}, {2}}};
  const auto defect = defect_of({5}, boxes);
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, Shape{1});
  EXPECT_FALSE(defect->overlap);
}

TEST(Cover, PinwheelThenExactThoughNoCutGoesThrough) {
  const Boxes boxes{
      {{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}};
  EXPECT_FALSE(defect_of({3, 3}, boxes));
}

TEST(Cover, ScalarThenOneBoxOrADefect) {
  EXPECT_FALSE(defect_of({}, Boxes{{}}));
  const auto nobody = defect_of({}, Boxes{});
  ASSERT_TRUE(nobody);
  EXPECT_EQ(nobody->index, Shape{});
  EXPECT_FALSE(nobody->overlap);
  const auto twice = defect_of({}, Boxes{{}, {}});
  ASSERT_TRUE(twice);
  EXPECT_EQ(twice->index, Shape{});
  EXPECT_TRUE(twice->overlap);
}

TEST(Cover, NoElementsThenCoveredByNothing) {
  EXPECT_FALSE(defect_of({4, 0}, Boxes{}));
  EXPECT_FALSE(defect_of({4, 0}, Boxes{{{0, 0}, {4, 0}}, {{0, 0}, {2, 0}}}));
}

TEST(Cover, EmptyBoxesThenTheyHoldNothing) {
  EXPECT_FALSE(defect_of({4}, Boxes{{{0}, {4}}, {{2}, {0}}, {{4}, {0}}}));
  const auto defect = defect_of({4}, Boxes{{{0}, {0}}});
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, Shape{0});
}

TEST(Cover, HugeShapeThenNothingIsEnumerated) {
  constexpr std::uint64_t n = std::uint64_t{1} << 40;
  EXPECT_FALSE(defect_of({n, 1000}, Boxes{{{0, 0}, {n - 1, 1000}}, {{n - 1, 0}, {1, 1000}}}));
  const auto defect =
      defect_of({n, 1000}, Boxes{{{0, 0}, {n - 1, 1000}}, {{n - 1, 0}, {1, 999}}});
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, (Shape{n - 1, 999}));
}

/// A grid of `n` by `n` boxes of 3 by 5 elements.
Boxes grid(std::uint64_t n) {
  Boxes boxes;
  for (std::uint64_t i = 0; i < n; ++i) {
    for (std::uint64_t j = 0; j < n; ++j) boxes.push_back({{3 * i, 5 * j}, {3, 5}});
  }
  return boxes;
}

TEST(Cover, GridOf64By64BoxesThenProvedInNoTime) {
  Random random(1);
  Boxes boxes = grid(64);
  std::shuffle(boxes.begin(), boxes.end(), random);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(defect_of({192, 320}, boxes));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  // It takes a millisecond; comparing each box with each in each slab would take minutes.
  EXPECT_LT(took.count(), 2.0 * cairn::testing::kSlowness);
}

TEST(Cover, LastBoxOfAGridDroppedThenItIsFound) {
  Boxes boxes = grid(64);
  boxes.pop_back();
  const auto defect = defect_of({192, 320}, boxes);
  ASSERT_TRUE(defect);
  EXPECT_EQ(defect->index, (Shape{189, 315}));
}

/// `n` columns, each cut at a row of its own: no two edges meet, and each row crosses all columns.
Boxes staggered_columns(std::uint64_t n) {
  Boxes boxes;
  for (std::uint64_t i = 0; i < n; ++i) {
    boxes.push_back({{0, i}, {i + 1, 1}});
    boxes.push_back({{i + 1, i}, {n - i, 1}});
  }
  return boxes;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(CoverProof, AnyBoxesThenAsEnumerated) {
  for_seeds(2000, [](Random& random) {
    const Shape shape = random_shape(random);
    Boxes boxes = random_partition(random, shape, below(random, 40));
    EXPECT_EQ(prove_cover(shape, boxes), CoverProof::exact);
    boxes[below(random, boxes.size())] = random_box_in(random, shape);
    const bool exact = !first_defect(shape, boxes);
    EXPECT_EQ(prove_cover(shape, boxes), exact ? CoverProof::exact : CoverProof::wrong);
  });
}

TEST(CoverProof, AHoleAsLargeAsWhatIsThereTwiceThenWrong) {
  EXPECT_EQ(prove_cover({4}, Boxes{{{0}, {2}}, {{0}, {2}}}), CoverProof::wrong);
  EXPECT_EQ(
      prove_cover({2, 2},
                  Boxes{{{0, 0}, {1, 1}}, {{1, 1}, {1, 1}}, {{0, 1}, {1, 1}}, {{0, 1}, {1, 1}}}),
      CoverProof::wrong);
}

TEST(CoverProof, ManyBoxesWithoutACommonEdgeThenInNoTime) {
  constexpr std::uint64_t kColumns = 100'000;
  const auto start = std::chrono::steady_clock::now();
  Boxes boxes = staggered_columns(kColumns);
  EXPECT_FALSE(defect_of({kColumns + 1, kColumns}, boxes));
  boxes.back().extent[0] -= 1;
  EXPECT_EQ(prove_cover({kColumns + 1, kColumns}, boxes), CoverProof::wrong);
  EXPECT_LT(seconds_since(start), 10.0 * cairn::testing::kSlowness);  // slab by slab it would take a day
}

TEST(CoverProof, ThirtyTwoDimensionsThenInNoTime) {
  Random random(5);
  const Shape shape(32, 1000);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(prove_cover(shape, random_partition(random, shape, 2000)), CoverProof::exact);
  EXPECT_LT(seconds_since(start), 10.0 * cairn::testing::kSlowness);
}

TEST(CoverProof, MoreStepsThanAllowedThenUndecided) {
  Random random(6);
  const Shape shape(8, 1000);
  const Boxes boxes = random_partition(random, shape, 2000);
  EXPECT_EQ(prove_cover(shape, boxes), CoverProof::exact);
  EXPECT_EQ(prove_cover(shape, boxes, 5000), CoverProof::undecided);
}

}  // namespace
}  // namespace cairn::plan
