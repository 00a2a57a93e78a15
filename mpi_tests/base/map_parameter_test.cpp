#include "cairn/map_parameter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/map_access.hpp"
#include "base/message_of.hpp"

namespace cairn {
namespace {

using testing::message_of;

constexpr std::int64_t kBeyondInt32 = std::int64_t{1} << 31;

MapParameter embeddings() { return MapParameter::of<std::int64_t, float>({2, 2}); }

std::array<float, 4> row(float first) { return {first, first + 1, first + 2, first + 3}; }

template <class Action>
void expect_refused(const std::string& reason, Action&& action) {
  const std::string message = message_of(ErrorCode::invalid_argument, action);
  EXPECT_NE(message.find(reason), std::string::npos) << "\"" << message << "\", not " << reason;
}

TEST(MapParameter, GivesWhatWasPutAndElseTheDefaultRow) {
  const auto first = row(10);
  const auto fallback = row(-1);
  auto map = MapParameter::of<std::int64_t, float>({2, 2}, std::span(fallback));
  map.put(7, std::span(first));
  auto out = row(0);
  EXPECT_TRUE(map.get(7, std::span(out)));
  EXPECT_EQ(out, first);
  EXPECT_FALSE(map.get(8, std::span(out)));
  EXPECT_EQ(out, fallback);
  EXPECT_FALSE(map.contains(8)) << "asking makes no entry";
  EXPECT_TRUE(map.erase(7));
  EXPECT_FALSE(map.erase(7));
  EXPECT_EQ(map.size(), 0u);
}

TEST(MapParameter, RowsOfAnyLengthComeBackWhole) {
  // Below, at and above whole cache lines, and the longest that are copied as such.
  for (const std::size_t bytes : {1, 63, 64, 65, 128, 192, 1024, 1088}) {
    const auto filled = [bytes](int first) {
      std::vector<std::uint8_t> row(bytes);
      for (std::size_t i = 0; i < bytes; ++i) row[i] = static_cast<std::uint8_t>(first + i * 7);
      return row;
    };
    const auto fallback = filled(200);
    auto map = MapParameter::of<std::int32_t, std::uint8_t>({bytes}, std::span(fallback));
    const auto put = [&](int key, int first) {
      const auto row = filled(first);
      map.put(key, std::span(row));
    };
    for (int key = -50; key < 50; ++key) put(key, key);
    for (int key = 0; key < 50; ++key) put(key, key + 1);
    std::vector<std::uint8_t> out(bytes + 1, 9);
    const auto expect_row = [&](std::int64_t key, bool there, int first) {
      EXPECT_EQ(map.get(key, std::span(out).first(bytes)), there) << bytes;
      EXPECT_TRUE(std::ranges::equal(std::span(out).first(bytes), filled(first))) << bytes;
      EXPECT_EQ(out.back(), 9) << "nothing is written behind a row";
    };
    for (int key = -50; key < 50; ++key) expect_row(key, true, key < 0 ? key : key + 1);
    expect_row(50, false, 200);
  }
}

TEST(MapParameter, WithoutDefaultRowGivesZeros) {
  const MapParameter map = embeddings();
  auto out = row(5);
  EXPECT_FALSE(map.get(1, std::span(out)));
  EXPECT_EQ(out, (std::array<float, 4>{}));
  EXPECT_EQ(map.settings().default_row, std::vector<std::byte>(16));
}

TEST(MapParameter, TellsWhatItWasMadeFrom) {
  const auto map = MapParameter::of<std::int32_t, double>({3});
  EXPECT_EQ(map.settings().key_dtype, DType::int32);
  EXPECT_EQ(map.settings().dtype, DType::float64);
  EXPECT_EQ(map.settings().row_shape, Shape{3});
  EXPECT_EQ(map.row_bytes(), 24u);
  EXPECT_EQ(MapParameter({.dtype = DType::float16}).row_bytes(), 2u) << "a row is one element";
}

TEST(MapParameter, TakesManyKeysOfEitherType) {
  for (const DType key_dtype : {DType::int32, DType::int64}) {
    MapParameter map({.key_dtype = key_dtype, .dtype = DType::int64});
    std::vector<std::int32_t> narrow;
    std::vector<std::int64_t> wide, rows;
    for (std::int32_t i = 0; i < 3000; ++i) {
      narrow.push_back(i % 2 == 0 ? i * 700'000 : -i * 700'000);
      wide.push_back(narrow.back());
      rows.push_back(i);
    }
    map.put(narrow, std::span<const std::int64_t>(rows));
    EXPECT_EQ(map.size(), 3000u);
    std::vector<std::int64_t> out(3000);
    EXPECT_EQ(map.get(wide, std::span(out)), 3000u);
    EXPECT_EQ(out, rows);
    EXPECT_EQ(map.erase(std::span(narrow).first(1000)), 1000u);
    EXPECT_EQ(map.get(narrow, std::span(out)), 2000u);
    EXPECT_EQ(out[999], 0);
    EXPECT_EQ(out[1000], 1000);
    map.put(std::span(wide).first(1000), std::span<const std::int64_t>(rows).first(1000));
    EXPECT_EQ(map.get(narrow, std::span(out)), 3000u);
    EXPECT_EQ(out, rows);
    EXPECT_EQ(map.get(std::vector<std::int32_t>{}, std::span<std::int64_t>()), 0u);
  }
}

TEST(MapParameter, HoldsTheExtremesOfItsKeyType) {
  MapParameter map({.key_dtype = DType::int32, .dtype = DType::uint8});
  for (const std::int64_t key :
       {-kBeyondInt32, kBeyondInt32 - 1, std::int64_t{0}, std::int64_t{-1}}) {
    const std::array value{static_cast<std::uint8_t>(key & 0xff)};
    map.put(key, std::span(value));
    std::array<std::uint8_t, 1> out{17};
    EXPECT_TRUE(map.get(key, std::span(out)));
    EXPECT_EQ(out, value);
  }
  EXPECT_EQ(map.size(), 4u);
}

TEST(MapParameter, VisitsEveryEntryOnce) {
  MapParameter map = embeddings();
  std::map<std::int64_t, std::array<float, 4>> expected;
  for (std::int64_t key = -500; key < 500; ++key) {
    expected[key] = row(static_cast<float>(key));
    map.put(key, std::span(expected[key]));
  }
  map.erase(3);
  expected.erase(3);
  std::map<std::int64_t, std::array<float, 4>> found;
  map.for_each<float>([&](std::int64_t key, std::span<const float> values) {
    ASSERT_EQ(values.size(), 4u);
    EXPECT_TRUE(found.insert({key, {values[0], values[1], values[2], values[3]}}).second);
  });
  EXPECT_EQ(found, expected);
}

TEST(MapParameter, MovesWithItsEntries) {
  MapParameter map = embeddings();
  const auto first = row(1);
  map.put(1, std::span(first));
  MapParameter other = std::move(map);
  EXPECT_TRUE(other.contains(1));
  map = embeddings();
  EXPECT_FALSE(map.contains(1));
  map.put(2, std::span(first));
}

TEST(MapParameter, ClearedItCanBeFilledAgain) {
  MapParameter map = embeddings();
  const auto first = row(1);
  map.reserve(1000);
  for (std::int64_t key = 0; key < 1000; ++key) map.put(key, std::span(first));
  map.clear();
  EXPECT_EQ(map.size(), 0u);
  EXPECT_FALSE(map.contains(1));
  map.put(1, std::span(first));
  EXPECT_EQ(map.size(), 1u);
}

TEST(MapParameter, OwnersAreThoseOfTheFormatOrOfTheFunctionGiven) {
  const MapParameter map = embeddings();
  EXPECT_EQ(map.owner(0, 1000), 535);
  EXPECT_EQ(map.owner(-1, 1000), 936);
  const auto by_range = MapParameter::of<std::int64_t, float>(
      {1}, {}, [](std::int64_t key, int ranks) { return key < 100 ? 0 : ranks - 1; });
  EXPECT_EQ(by_range.owner(99, 5), 0);
  EXPECT_EQ(by_range.owner(100, 5), 4);
}

TEST(MapParameter, OwnersThatAreNoRanksAreRefused) {
  const auto broken = MapParameter::of<std::int64_t, float>(
      {1}, {}, [](std::int64_t key, int) { return static_cast<int>(key); });
  expect_refused("MapSettings::owner: the function gave rank 4 of 4 ranks, 0 to 3 expected",
                 [&] { static_cast<void>(broken.owner(4, 4)); });
  expect_refused("MapSettings::owner: the function gave rank -1 of 4 ranks",
                 [&] { static_cast<void>(broken.owner(-1, 4)); });
  expect_refused("0 ranks given, at least 1 expected",
                 [&] { static_cast<void>(embeddings().owner(1, 0)); });
}

TEST(MapParameter, KeyTypesThatAreNoneAreRefused) {
  for (const DType dtype : {DType::uint64, DType::float32, DType::int16}) {
    expect_refused("MapSettings::key_dtype: " + std::string(to_string(dtype)) +
                       " given, int32 or int64 expected",
                   [&] { MapParameter({.key_dtype = dtype}); });
  }
  expect_refused("MapSettings::key_dtype: DType 200 given",
                 [] { MapParameter({.key_dtype = static_cast<DType>(200)}); });
}

TEST(MapParameter, DtypesThatAreNoneAreRefused) {
  expect_refused("MapSettings::dtype: DType 17 given, one of the 17 dtypes expected",
                 [] { MapParameter({.dtype = static_cast<DType>(17)}); });
}

TEST(MapParameter, ShapesWithoutElementsAreRefused) {
  expect_refused("MapSettings::row_shape: [4, 0] given, extents of at least 1",
                 [] { MapParameter({.row_shape = {4, 0}}); });
}

TEST(MapParameter, ShapesBeyondAllMemoryAreRefused) {
  expect_refused("and a row of at most 2^40 bytes expected",
                 [] { MapParameter({.row_shape = {(std::uint64_t{1} << 38) + 1}}); });
  expect_refused("has too many elements",
                 [] { MapParameter({.row_shape = {std::uint64_t{1} << 62, 4}}); });
}

TEST(MapParameter, ADefaultRowOfAnotherSizeIsRefused) {
  expect_refused("MapSettings::default_row: 12 bytes given, 16 expected (float32 [4]) or none", [] {
    MapParameter({.row_shape = {4}, .default_row = std::vector<std::byte>(12)});
  });
}

TEST(MapParameter, RowsOfAnotherSizeAreRefused) {
  MapParameter map = embeddings();
  std::array<float, 3> three{};
  expect_refused("a row of a MapParameter: 12 bytes given, 16 expected (float32 [2, 2])",
                 [&] { map.put(1, std::span(three)); });
  expect_refused("12 bytes given", [&] { map.get(1, std::span(three)); });
  EXPECT_EQ(map.size(), 0u);
  auto lines = MapParameter::of<std::int64_t, float>({16});
  std::array<float, 32> two_lines{};
  expect_refused("128 bytes given, 64 expected", [&] { lines.put(1, std::span(two_lines)); });
  expect_refused("128 bytes given, 64 expected", [&] { lines.get(1, std::span(two_lines)); });
}

TEST(MapParameter, ManyRowsThatDoNotMatchTheKeysAreRefused) {
  MapParameter map = embeddings();
  const std::vector<std::int64_t> keys{1, 2, 3};
  std::vector<float> rows(8);
  const std::string reason = "bytes given for 3 keys, 16 for each expected (float32 [2, 2])";
  expect_refused("rows of a MapParameter: 32 " + reason, [&] { map.put(keys, std::span(rows)); });
  expect_refused("32 " + reason, [&] { map.get(keys, std::span(rows)); });
  rows.resize(13);
  expect_refused("52 " + reason, [&] { map.get(keys, std::span(rows)); });
  EXPECT_EQ(map.size(), 0u);
}

TEST(MapParameter, ElementsOfAnotherTypeAreRefused) {
  MapParameter map = embeddings();
  std::array<double, 2> doubles{};
  std::array<std::int32_t, 4> integers{};
  const std::vector<std::int64_t> one{1};
  expect_refused("elements of float64 given, float32 expected",
                 [&] { map.put(1, std::span(doubles)); });
  expect_refused("elements of int32 given", [&] { map.get(1, std::span(integers)); });
  expect_refused("elements of int32 given", [&] { map.put(one, std::span(integers)); });
  expect_refused("elements of int32 given", [&] { map.get(one, std::span(integers)); });
  expect_refused("elements of bool given", [&] { map.for_each<bool>([](auto, auto) {}); });
}

TEST(MapParameter, KeysBeyondItsKeyTypeAreRefused) {
  const std::string reason = "a key for a MapParameter does not fit its key type, int32";
  for (const std::size_t floats : {4, 16}) {  // 16: a cache line, which is copied in another way
    auto map = MapParameter::of<std::int32_t, float>({floats});
    std::vector<float> values(floats);
    for (const std::int64_t key : {kBeyondInt32, -kBeyondInt32 - 1,
                                   std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max()}) {
      expect_refused(reason, [&] { map.put(key, std::span(values)); });
      expect_refused(reason, [&] { map.get(key, std::span(values)); });
      expect_refused(reason, [&] { map.erase(key); });
      expect_refused(reason, [&] { static_cast<void>(map.contains(key)); });
      expect_refused(reason, [&] { static_cast<void>(map.owner(key, 2)); });
    }
    EXPECT_EQ(map.size(), 0u);
  }
}

TEST(MapParameter, ABatchWithAKeyBeyondItsKeyTypeChangesNothing) {
  auto map = MapParameter::of<std::int32_t, float>({1});
  const float value = 1;
  map.put(5, std::span(&value, 1));
  const std::vector<std::int64_t> keys{4, 5, kBeyondInt32};
  std::vector<float> rows{7, 8, 9};
  const std::string reason =
      "keys for a MapParameter: number 2 of 3 (counted from 0) does not fit its key type, int32";
  expect_refused(reason, [&] { map.put(keys, std::span(rows)); });
  expect_refused(reason, [&] { map.get(keys, std::span(rows)); });
  expect_refused(reason, [&] { map.erase(keys); });
  EXPECT_EQ(map.size(), 1u);
  EXPECT_EQ(rows, (std::vector<float>{7, 8, 9}));
  map.get(5, std::span(rows).first(1));
  EXPECT_EQ(rows[0], 1);
}

TEST(MapParameter, MoreEntriesThanItCanNumberAreRefused) {
  MapParameter map = embeddings();
  expect_refused("a MapParameter with 17179869185 entries on a rank: at most 2^34 expected",
                 [&] { map.reserve((std::uint64_t{1} << 34) + 1); });
  EXPECT_FALSE(map.contains(1));
}

TEST(MapParameter, ShowsItsTableToThoseWhoSaveIt) {
  MapParameter map = embeddings();
  const auto first = row(1);
  map.put(1, std::span(first));
  MapTable& table = MapAccess::table(map);
  EXPECT_EQ(table.size(), 1u);
  table.freeze();
  EXPECT_EQ(table.status(table.find(1)), EntryStatus::modified);
  table.commit();
  EXPECT_EQ(table.status(table.find(1)), EntryStatus::unchanged);
}

}  // namespace
}  // namespace cairn
