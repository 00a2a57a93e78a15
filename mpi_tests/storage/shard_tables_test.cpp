// The tables of an index of shards, and tables that lie.
#include "storage/shard_tables.hpp"

#include <chrono>

#include "base/slowness.hpp"
#include "codec/crc32.hpp"
#include "storage/expect_error.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;

ShardIndex sample_index() {
  ShardIndex index;
  index.shards = {{4096, 7}, {8192, ~std::uint32_t{0}}};
  index.tensors.push_back(
      {{"matrix", DType::float32, {4, 6}}, {{0, {{0, 0}, {4, 2}}}, {1, {{0, 2}, {4, 4}}}}});
  index.tensors.push_back({{"nothing", DType::int8, {0, 3}}, {}});
  index.tensors.push_back({{"scalar", DType::boolean, {}}, {{1, {}}}});
  return index;
}

/// With an entry of append_info under the name of another tensor, and a text.
ShardIndex index_with_info() {
  ShardIndex index = sample_index();
  index.tensors.push_back(
      {{"matrix", DType::int64, {2}, Family::append_info}, {{0, {{0}, {1}}}, {1, {{1}, {1}}}}});
  index.tensors.push_back(
      {{"note", DType::uint8, {5}, Family::append_info, true}, {{1, {{0}, {5}}}}});
  return index;
}

class ShardTables : public ::testing::Test {
 protected:
  // "checksum", "shards", "tensors/matrix", "tensors/nothing", "tensors/scalar".
  std::vector<IndexTable> tables_ = tables_of(sample_index());
  IndexTable& matrix_ = tables_[2];
  IndexTable& scalar_ = tables_[4];

  /// Of each family.
  void seal() {
    for (std::size_t i = 0; i < tables_.size();) {
      IndexTable& checksum = tables_[i];
      std::uint32_t crc = 0;
      for (++i; i < tables_.size() && tables_[i].info.family == checksum.info.family; ++i) {
        crc = codec::crc32(std::as_bytes(std::span(tables_[i].values)), crc);
      }
      checksum.values = {crc};
    }
  }
  void expect_refused(std::initializer_list<const char*> parts) {
    seal();
    expect_error(ErrorCode::damaged, parts, [&] { (void)index_of(tables_); });
  }
};

void expect_back(const ShardIndex& expected) {
  const ShardIndex index = index_of(tables_of(expected));
  ASSERT_EQ(index.shards.size(), 2U);
  EXPECT_EQ(index.shards[1].image_bytes, 8192U);
  EXPECT_EQ(index.shards[1].head_crc, ~std::uint32_t{0});
  ASSERT_EQ(index.tensors.size(), expected.tensors.size());
  for (std::size_t i = 0; i < index.tensors.size(); ++i) {
    const ShardedTensor& tensor = index.tensors[i];
    EXPECT_EQ(static_cast<const TensorInfo&>(tensor), expected.tensors[i]);
    ASSERT_EQ(tensor.pieces.size(), expected.tensors[i].pieces.size());
    for (std::size_t k = 0; k < tensor.pieces.size(); ++k) {
      EXPECT_EQ(tensor.pieces[k].shard, expected.tensors[i].pieces[k].shard);
      EXPECT_EQ(tensor.pieces[k].box, expected.tensors[i].pieces[k].box);
    }
  }
}

TEST_F(ShardTables, WhatWasGivenComesBack) {
  expect_back(sample_index());
  expect_back(index_with_info());
}

TEST_F(ShardTables, AppendInfoDoesNotChangeTheTablesOfTheOthers) {
  const std::vector<IndexTable> tables = tables_of(index_with_info());
  ASSERT_EQ(tables.size(), tables_.size() + 3);
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    EXPECT_EQ(tables[i].info, tables_[i].info);
    EXPECT_EQ(tables[i].values, tables_[i].values);
  }
}

TEST_F(ShardTables, AnotherChecksumIsRefused) {
  tables_[0].values[0] += 1;
  expect_error(ErrorCode::damaged, {"the CRC of its tables is"}, [&] { (void)index_of(tables_); });
}

TEST_F(ShardTables, NoChecksumIsRefused) {
  tables_.erase(tables_.begin());
  expect_error(ErrorCode::damaged, {"no index of shards"}, [&] { (void)index_of(tables_); });
  expect_error(ErrorCode::damaged, {"no index of shards"}, [&] { (void)index_of({}); });
}

TEST_F(ShardTables, ATableOfOtherNumbersIsRefused) {
  matrix_.info.dtype = DType::int64;
  expect_refused({"'tensors/matrix' is no table of an index"});
}

TEST_F(ShardTables, AListIsRefused) {
  matrix_.info.shape = {matrix_.values.size()};
  expect_refused({"'tensors/matrix' is no table of an index"});
}

TEST_F(ShardTables, MoreRowsThanValuesAreRefused) {
  matrix_.info.shape[0] += 1;
  expect_refused({"'tensors/matrix' is no table of an index"});
  matrix_.info.shape[0] = std::uint64_t{1} << 62U;
  expect_refused({"'tensors/matrix' has the impossible shape"});
}

TEST_F(ShardTables, AStrangeTableIsRefused) {
  matrix_.info.name = "tensor/matrix";
  expect_refused({"'tensor/matrix' does not belong into an index"});
}

TEST_F(ShardTables, ShardsOfThreeColumnsAreRefused) {
  tables_[1].info.shape = {2, 3};
  tables_[1].values.resize(6);
  expect_refused({"'shards' is no table of shards"});
}

TEST_F(ShardTables, AnUnknownDtypeIsRefused) {
  matrix_.values[0] = kDTypeCount;
  expect_refused({"'tensors/matrix' is no table of a tensor"});
}

TEST_F(ShardTables, AnEvenNumberOfColumnsIsRefused) {
  matrix_.info.shape = {1, 2};
  matrix_.values = {0, 0};
  expect_refused({"'tensors/matrix' is no table of a tensor"});
}

TEST_F(ShardTables, MoreDimensionsThanTensorsHaveAreRefused) {
  matrix_.info.shape = {1, 67};
  matrix_.values.assign(67, 0);
  expect_refused({"'tensors/matrix' is no table of a tensor"});
}

TEST_F(ShardTables, ATableWithoutRowsIsRefused) {
  matrix_.info.shape = {0, 5};
  matrix_.values.clear();
  expect_refused({"'tensors/matrix' is no table of a tensor"});
}

TEST_F(ShardTables, AnImpossibleTensorIsRefused) {
  matrix_.values[1] = std::uint64_t{1} << 40U;
  matrix_.values[2] = std::uint64_t{1} << 40U;
  expect_refused({"'tensors/matrix' has the impossible shape"});
}

TEST_F(ShardTables, MoreBoxesThanElementsAreRefused) {
  scalar_.info.shape[0] = 100;
  scalar_.values.resize(100);
  expect_refused({"'tensors/scalar' has 99 boxes, the tensor 1 elements"});
}

TEST_F(ShardTables, AShardThatIsNotThereIsRefused) {
  matrix_.values[5] = 2;
  expect_refused({"'tensors/matrix' has a box that leaves its shape or the shards"});
}

TEST_F(ShardTables, ABoxThatLeavesTheShapeOrWrapsAroundIsRefused) {
  for (const std::uint64_t offset : {std::uint64_t{3}, ~std::uint64_t{0}, ~std::uint64_t{0} - 3}) {
    matrix_.values[12] = offset;
    expect_refused({"'tensors/matrix' has a box that leaves its shape or the shards"});
  }
}

TEST_F(ShardTables, AnEmptyBoxIsRefused) {
  matrix_.values[9] = 0;
  expect_refused({"'tensors/matrix' has a box that leaves its shape or the shards"});
}

TEST_F(ShardTables, BoxesThatDoNotCoverAreRefused) {
  matrix_.values[12] = 1;
  expect_refused({"'tensors/matrix' has boxes that do not cover it exactly once"});
}

TEST_F(ShardTables, BoxesThatDoNotCoverAreNotWrittenEither) {
  ShardIndex index = sample_index();
  index.tensors[0].pieces.pop_back();
  expect_error(ErrorCode::layout, {"\"matrix\"", "do not cover it"},
               [&] { (void)tables_of(index); });
}

/// "checksum", "shards", three tensors; then of append_info "checksum", "tensors/matrix",
/// "tensors/note".
class InfoTables : public ShardTables {
 protected:
  InfoTables() { tables_ = tables_of(index_with_info()); }
  IndexTable& info_checksum() { return tables_[5]; }
  IndexTable& note() { return tables_[7]; }
};

TEST_F(InfoTables, AnotherChecksumOrNoneIsRefused) {
  info_checksum().values[0] += 1;
  expect_error(ErrorCode::damaged, {"the CRC of its tables is"}, [&] { (void)index_of(tables_); });
  tables_.erase(tables_.begin() + 5);
  expect_error(ErrorCode::damaged, {"it has no checksum"}, [&] { (void)index_of(tables_); });
}

TEST_F(InfoTables, ShardsAmongThemAreRefused) {
  tables_[6].info.name = "shards";
  expect_refused({"'append_info/shards' does not belong into an index"});
}

TEST_F(InfoTables, AStrangeTableIsRefused) {
  tables_[6].info.name = "matrix";
  expect_refused({"'append_info/matrix' does not belong into an index"});
}

TEST_F(InfoTables, ATextThatIsNoneIsRefused) {
  for (const std::uint64_t bytes : {0, 65537}) {
    note().values[1] = bytes;
    expect_refused({"'tensors/note' is no table of a tensor"});
  }
  note().values = {255, 5, 0, 1, 0, 2, 1, 2, 3};  // in two pieces
  note().info.shape = {3, 3};
  expect_refused({"'tensors/note' is no table of a tensor"});
}

TEST_F(InfoTables, ATextOfAnotherFamilyIsRefused) {
  tables_[2] = {{"tensors/matrix", DType::uint64, {2, 3}}, {255, 5, 0, 1, 0, 5}};
  expect_refused({"'tensors/matrix' is no table of a tensor"});
}

TEST_F(InfoTables, ATableThatIsATextIsRefused) {
  note().info.is_text = true;
  expect_refused({"'tensors/note' is no table of an index"});
}

/// Each box spans nearly all rows, and no two begin or end together: slab by slab it took a day.
TEST_F(ShardTables, ManyBoxesThatCrossAllRowsAreJudgedInNoTime) {
  constexpr std::uint64_t kBoxes = 100'000;
  matrix_.info.shape = {1 + kBoxes, 5};
  matrix_.values = {0, 2 * kBoxes, kBoxes, 0, 0};
  for (std::uint64_t i = 0; i < kBoxes; ++i) {
    matrix_.values.insert(matrix_.values.end(), {0, i, i, kBoxes, 1});
  }
  const auto start = std::chrono::steady_clock::now();
  expect_refused({"'tensors/matrix' has boxes that do not cover it exactly once"});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 5.0 * cairn::testing::kSlowness);
}

}  // namespace
}  // namespace cairn::storage
