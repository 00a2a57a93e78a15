#include "base/map_datasets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cairn/error.hpp"

namespace cairn {
namespace {

using ::testing::HasSubstr;

std::vector<TensorInfo> one_map() {
  return {{"w", DType::float32, {3}},
          {"a/b/default_row", DType::float32, {2, 3}, Family::map_parameter},
          {"a/b/keys", DType::int64, {5}, Family::map_parameter},
          {"a/b/statuses", DType::uint8, {5}, Family::map_parameter},
          {"a/b/values", DType::float32, {5, 2, 3}, Family::map_parameter}};
}

std::string refusal(const std::function<void(std::vector<TensorInfo>&)>& spoil) {
  std::vector<TensorInfo> tensors = one_map();
  spoil(tensors);
  try {
    static_cast<void>(maps_in(tensors));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::damaged);
    return error.what();
  }
  return "none";
}

TEST(StoredMaps, WholeThenFoundWithTheirParts) {
  const std::vector<StoredMap> maps = maps_in(one_map());
  ASSERT_EQ(maps.size(), 1U);
  EXPECT_EQ(maps[0].name, "a/b");
  EXPECT_EQ(maps[0].entries, 5U);
  EXPECT_EQ(maps[0].place(MapPart::keys), 2U);
  EXPECT_EQ(maps[0].place(MapPart::values), 4U);
}

TEST(StoredMaps, NoneThenNone) {
  EXPECT_TRUE(maps_in({}).empty());
  EXPECT_TRUE(maps_in(std::vector<TensorInfo>{{"keys", DType::int64, {5}}}).empty());
}

TEST(StoredMaps, APartIsMissingThenDamaged) {
  for (const std::size_t part : {1, 2, 3}) {
    EXPECT_THAT(refusal([&](auto& tensors) {
                  tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(part));
                }),
                HasSubstr("map_parameter \"a/b\" has no dataset"));
  }
  EXPECT_THAT(refusal([](auto& tensors) { tensors.pop_back(); }),
              HasSubstr("it has 3 datasets of MapParameters, expected 4 for each of 0"));
}

TEST(StoredMaps, ADatasetTooManyThenDamaged) {
  EXPECT_THAT(refusal([](auto& tensors) {
                tensors.push_back({"z", DType::int8, {}, Family::map_parameter});
              }),
              HasSubstr("it has 5 datasets of MapParameters, expected 4 for each of 1"));
}

TEST(StoredMaps, KeysOfAnotherTypeThenDamaged) {
  EXPECT_THAT(refusal([](auto& tensors) { tensors[2].dtype = DType::uint64; }),
              HasSubstr("keys of type uint64 [5], expected one dimension of int32 or int64"));
  EXPECT_THAT(refusal([](auto& tensors) { tensors[2].shape = {5, 1}; }),
              HasSubstr("keys of type int64 [5, 1]"));
}

TEST(StoredMaps, StatusesOfAnotherTypeOrNumberThenDamaged) {
  EXPECT_THAT(refusal([](auto& tensors) { tensors[3].dtype = DType::int8; }),
              HasSubstr("statuses of type int8 [5], expected uint8 [5]"));
  EXPECT_THAT(refusal([](auto& tensors) { tensors[3].shape = {4}; }),
              HasSubstr("statuses of type uint8 [4], expected uint8 [5]"));
}

TEST(StoredMaps, RowsThatDoNotFitThenDamaged) {
  EXPECT_THAT(refusal([](auto& tensors) { tensors[4].shape = {4, 2, 3}; }),
              HasSubstr("values of type float32 [4, 2, 3] for keys of type int64 [5]"));
  EXPECT_THAT(refusal([](auto& tensors) { tensors[4].shape = {}; }), HasSubstr("values of type"));
  EXPECT_THAT(refusal([](auto& tensors) { tensors[4].dtype = DType::int32; }),
              HasSubstr("a default row of type float32 [2, 3]"));
  EXPECT_THAT(refusal([](auto& tensors) {
                tensors[1].shape = {2, 0};
                tensors[4].shape = {5, 2, 0};
              }),
              HasSubstr("a default row of type float32 [2, 0]"));
}

}  // namespace
}  // namespace cairn
