#include "workload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace bench {
namespace {

using cairn::DType;
using cairn::Shape;
using cairn::Slice;

std::optional<Slice> box(Shape shape, Shape offset, Shape extent) {
  return Slice{std::move(shape), std::move(offset), std::move(extent)};
}

TEST(Slicing, RowsCutTheFirstDimension) {
  const auto rows = [](int rank) { return slice_of({7, 2}, Slicing::rows, 0, rank, 3); };
  EXPECT_EQ(rows(0), box({7, 2}, {0, 0}, {2, 2}));
  EXPECT_EQ(rows(1), box({7, 2}, {2, 0}, {2, 2}));
  EXPECT_EQ(rows(2), box({7, 2}, {4, 0}, {3, 2}));
}

TEST(Slicing, ColumnsCutTheLastDimension) {
  const auto columns = [](int rank) { return slice_of({2, 3, 5}, Slicing::columns, 0, rank, 3); };
  EXPECT_EQ(columns(0), box({2, 3, 5}, {0, 0, 0}, {2, 3, 1}));
  EXPECT_EQ(columns(1), box({2, 3, 5}, {0, 0, 1}, {2, 3, 2}));
  EXPECT_EQ(columns(2), box({2, 3, 5}, {0, 0, 3}, {2, 3, 2}));
}

TEST(Slicing, PartsMayBeEmpty) {
  const auto rows = [](int rank) { return slice_of({3}, Slicing::rows, 0, rank, 4); };
  EXPECT_EQ(rows(0), box({3}, {0}, {0}));
  EXPECT_EQ(rows(1), box({3}, {0}, {1}));
  EXPECT_EQ(rows(2), box({3}, {1}, {1}));
  EXPECT_EQ(rows(3), box({3}, {2}, {1}));
  EXPECT_EQ(slice_of({0, 7}, Slicing::rows, 0, 1, 2), box({0, 7}, {0, 0}, {0, 7}));
}

TEST(Slicing, GridHasTheMostSquareRanks) {
  const auto grid = [](int rank, int ranks) {
    return slice_of({12, 2, 12}, Slicing::grid, 0, rank, ranks);
  };
  EXPECT_EQ(grid(2, 4), box({12, 2, 12}, {6, 0, 0}, {6, 2, 6}));   // 2 x 2
  EXPECT_EQ(grid(4, 6), box({12, 2, 12}, {6, 0, 4}, {6, 2, 4}));   // 2 x 3
  EXPECT_EQ(grid(7, 12), box({12, 2, 12}, {4, 0, 9}, {4, 2, 3}));  // 3 x 4
  EXPECT_EQ(grid(2, 3), box({12, 2, 12}, {0, 0, 8}, {12, 2, 4}));  // 1 x 3
  EXPECT_EQ(grid(0, 1), box({12, 2, 12}, {0, 0, 0}, {12, 2, 12}));
  EXPECT_EQ(grid(8, 9), box({12, 2, 12}, {8, 0, 8}, {4, 2, 4}));  // 3 x 3
}

TEST(Slicing, GridOfOneDimensionIsRows) {
  EXPECT_EQ(slice_of({10}, Slicing::grid, 0, 3, 4), box({10}, {7}, {3}));
}

TEST(Slicing, AStageIsHeldByOneRank) {
  EXPECT_EQ(slice_of({2, 2}, Slicing::stage, 7, 1, 3), box({2, 2}, {0, 0}, {2, 2}));
  EXPECT_EQ(slice_of({2, 2}, Slicing::stage, 7, 0, 3), std::nullopt);
  EXPECT_EQ(slice_of({2, 2}, Slicing::stage, 7, 2, 3), std::nullopt);
}

TEST(Slicing, ReplicatedIsWholeEverywhere) {
  EXPECT_EQ(slice_of({2, 2}, Slicing::replicated, 1, 2, 3), box({2, 2}, {0, 0}, {2, 2}));
}

TEST(Slicing, AScalarIsReplicatedWhateverIsSaid) {
  for (const auto slicing : {Slicing::rows, Slicing::columns, Slicing::grid, Slicing::stage}) {
    EXPECT_EQ(slice_of({}, slicing, 0, 2, 3), Slice{});
  }
}

TEST(Slicing, LargeExtentsDoNotOverflow) {
  const std::uint64_t n = std::uint64_t{1} << 62;
  const auto slice = slice_of({n}, Slicing::rows, 0, 5, 7);
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->offset[0], 3294061441733848502U);  // floor(5 * 2^62 / 7)
  EXPECT_EQ(slice->extent[0], 658812288346769701U);   // up to floor(6 * 2^62 / 7)
}

TEST(Workload, IsReadInOrder) {
  const Workload workload = parse_workload(R"({"about": "a test", "tensors": [
    {"name": "b", "dtype": "bfloat16", "shape": [3, 5], "slicing": "grid"},
    {"name": "a/ü", "dtype": "bool", "shape": [], "slicing": "stage"}]})");
  ASSERT_EQ(workload.tensors.size(), 2U);
  EXPECT_EQ(workload.tensors[0].name, "b");
  EXPECT_EQ(workload.tensors[0].dtype, DType::bfloat16);
  EXPECT_EQ(workload.tensors[0].shape, (Shape{3, 5}));
  EXPECT_EQ(workload.tensors[0].slicing, Slicing::grid);
  EXPECT_EQ(workload.tensors[1].name, "a/ü");
  EXPECT_EQ(workload.tensors[1].shape, Shape{});
  EXPECT_EQ(workload.bytes(), 31U);
}

/// What is said of a workload of one good tensor and this one.
std::string complaint_about(const std::string& tensor) {
  const std::string good = R"({"name": "a", "dtype": "int8", "shape": [1], "slicing": "rows"})";
  try {
    (void)parse_workload(R"({"tensors": [)" + good + ", " + tensor + "]}");
  } catch (const WorkloadError& error) {
    return error.what();
  }
  return "none";
}

TEST(Workload, ComplaintsNameTheTensorAndTheMistake) {
  using ::testing::HasSubstr;
  const auto tensor = [](const char* name, const char* dtype, const char* shape,
                         const char* slicing) {
    return std::string(R"({"name": ")") + name + R"(", "dtype": ")" + dtype + R"(", "shape": )" +
           shape + R"(, "slicing": ")" + slicing + R"("})";
  };
  EXPECT_EQ(complaint_about(tensor("b", "int8", "[2]", "rows")), "none");
  EXPECT_THAT(complaint_about(tensor("a", "int8", "[2]", "rows")), HasSubstr("\"a\" was there"));
  EXPECT_THAT(complaint_about(tensor("b", "int7", "[2]", "rows")), HasSubstr("dtype \"int7\""));
  EXPECT_THAT(complaint_about(tensor("b", "int8", "[-2]", "rows")), HasSubstr("tensor 1"));
  EXPECT_THAT(complaint_about(tensor("b", "int8", "[2.5]", "rows")), HasSubstr("extent"));
  EXPECT_THAT(complaint_about(tensor("b", "int8", "2", "rows")), HasSubstr("\"shape\""));
  EXPECT_THAT(complaint_about(tensor("b", "int8", "[2]", "row")), HasSubstr("slicing \"row\""));
  EXPECT_THAT(complaint_about(tensor("b", "int8", "[4294967296, 4294967296]", "rows")),
              HasSubstr("too many"));
  EXPECT_THAT(complaint_about("3"), HasSubstr("not an object"));
  EXPECT_THAT(complaint_about(R"({"dtype": "int8"})"), HasSubstr("expected a text"));
}

TEST(Workload, WhatIsNoWorkloadIsRefused) {
  EXPECT_THROW((void)parse_workload("{"), WorkloadError);
  EXPECT_THROW((void)parse_workload("[]"), WorkloadError);
  EXPECT_THROW((void)parse_workload("{}"), WorkloadError);
  EXPECT_THROW((void)parse_workload(R"({"tensors": {}})"), WorkloadError);
  EXPECT_THROW((void)parse_workload(""), WorkloadError);
}

}  // namespace
}  // namespace bench
