#include "base/map_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace cairn {
namespace {

using Which = MapOrder::Which;

/// The second number that splitmix64 gives for a seed, as its authors write it.
std::uint64_t second_of_splitmix64(std::uint64_t seed) {
  std::uint64_t z = 0;
  for (int i = 0; i < 2; ++i) {
    z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z = z ^ (z >> 31);
  }
  return z;
}

std::vector<std::int64_t> some_keys(std::size_t count) {
  std::vector<std::int64_t> keys{0, -1, 1, std::numeric_limits<std::int64_t>::min(),
                                 std::numeric_limits<std::int64_t>::max()};
  std::mt19937_64 random(8);
  while (keys.size() < count) keys.push_back(static_cast<std::int64_t>(random()));
  return keys;
}

std::vector<std::int64_t> in_order(std::vector<std::int64_t> keys) {
  std::ranges::sort(keys, {}, [](std::int64_t key) {
    return second_of_splitmix64(static_cast<std::uint64_t>(key));
  });
  return keys;
}

void put_all(MapTable& table, const std::vector<std::int64_t>& keys) {
  for (const std::int64_t key : keys) {
    table.put(key, reinterpret_cast<const std::byte*>(&key));
  }
}

MapTable table_of(const std::vector<std::int64_t>& keys) {
  MapTable table(std::vector<std::byte>(sizeof(std::int64_t)));
  put_all(table, keys);
  return table;
}

std::vector<std::int64_t> keys_of(const std::vector<MapOrder::Entry>& entries) {
  std::vector<std::int64_t> keys;
  for (const MapOrder::Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

std::vector<std::int64_t> all_keys(const MapOrder& order) {
  return keys_of(order.entries(0, order.counts().size()));
}

TEST(MapOrder, DependsOnTheKeysAlone) {
  const std::vector<std::int64_t> keys = some_keys(5000);
  MapTable forwards = table_of(keys);
  forwards.freeze();
  MapTable backwards = table_of({keys.rbegin(), keys.rend()});
  backwards.freeze();
  MapTable with_a_past = table_of({keys.begin() + 100, keys.end()});
  std::vector<std::int64_t> others(20'000);
  std::iota(others.begin(), others.end(), 12'345);
  put_all(with_a_past, others);
  with_a_past.erase(others);
  put_all(with_a_past, keys);
  with_a_past.freeze();
  for (const unsigned bits : {0u, 1u, 5u, 12u, 16u}) {
    EXPECT_EQ(all_keys(MapOrder(forwards, Which::all, bits)), in_order(keys)) << bits;
    EXPECT_EQ(all_keys(MapOrder(backwards, Which::all, bits)), in_order(keys)) << bits;
    EXPECT_EQ(all_keys(MapOrder(with_a_past, Which::all, bits)), in_order(keys)) << bits;
  }
}

TEST(MapOrder, EntriesLeadToTheirRows) {
  MapTable table = table_of(some_keys(1000));
  table.freeze();
  const MapOrder order(table, Which::all, 4);
  for (const MapOrder::Entry& entry : order.entries(0, 16)) {
    ASSERT_EQ(*reinterpret_cast<const std::int64_t*>(table.row(entry.number)), entry.key);
  }
}

TEST(MapOrder, RunsOfBucketsAreTheWholeInPieces) {
  const std::vector<std::int64_t> keys = some_keys(3000);
  MapTable table = table_of(keys);
  table.freeze();
  const MapOrder order(table, Which::all, 8);
  const auto counts = order.counts();
  ASSERT_EQ(counts.size(), 256u);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), keys.size());
  for (const std::uint64_t most : {1u, 30u, 100u, 3000u}) {
    std::vector<std::int64_t> pieces;
    for (std::size_t first = 0; first < counts.size();) {
      const std::size_t last = order.run_end(first, most);
      const auto entries = order.entries(first, last);
      EXPECT_TRUE(entries.size() <= most || last == first + 1) << most;
      EXPECT_TRUE(last == counts.size() || entries.size() + counts[last] > most);
      for (const std::int64_t key : keys_of(entries)) pieces.push_back(key);
      first = last;
    }
    EXPECT_EQ(pieces, in_order(keys)) << most;
  }
}

TEST(MapOrder, EqualBucketsOfAllRanksMakeTheOrderOfTheWhole) {
  constexpr int kRanks = 3;
  constexpr unsigned kBits = 6;
  const std::vector<std::int64_t> keys = some_keys(4000);
  std::vector<MapTable> tables;
  std::vector<MapOrder> orders;
  for (int rank = 0; rank < kRanks; ++rank) {
    std::vector<std::int64_t> own = keys;
    std::erase_if(own, [&](std::int64_t key) { return default_owner(key, kRanks) != rank; });
    EXPECT_GT(own.size(), 1000u);
    tables.push_back(table_of(own));
    tables.back().freeze();
  }
  for (const MapTable& table : tables) orders.emplace_back(table, Which::all, kBits);
  std::vector<std::int64_t> merged;
  for (std::size_t bucket = 0; bucket < 1u << kBits; ++bucket) {
    std::vector<std::int64_t> here;
    for (const MapOrder& order : orders) {
      for (const std::int64_t key : keys_of(order.entries(bucket, bucket + 1))) here.push_back(key);
    }
    for (const std::int64_t key : in_order(here)) merged.push_back(key);
  }
  EXPECT_EQ(merged, in_order(keys));
}

TEST(MapOrder, ChangedEntriesAreThoseAndErasedOnesInTheirPlaces) {
  const std::vector<std::int64_t> keys = some_keys(2000);
  MapTable table = table_of(keys);
  table.freeze();
  table.commit();
  const std::vector<std::int64_t> changed(keys.begin(), keys.begin() + 300);
  const std::vector<std::int64_t> erased(keys.begin() + 200, keys.begin() + 300);
  put_all(table, changed);
  table.erase(erased);
  table.freeze();
  const MapOrder order(table, Which::changed, 7);
  const auto entries = order.entries(0, 128);
  EXPECT_EQ(keys_of(entries), in_order(changed));
  for (const MapOrder::Entry& entry : entries) {
    const bool gone = std::ranges::find(erased, entry.key) != erased.end();
    EXPECT_EQ(entry.number == MapRows::kNone, gone);
  }
  EXPECT_EQ(all_keys(MapOrder(table, Which::all, 7)).size(), 1900u);
}

TEST(MapOrder, NoEntriesAreNoEntries) {
  MapTable table = table_of({});
  table.freeze();
  for (const Which which : {Which::all, Which::changed}) {
    const MapOrder order(table, which, 3);
    EXPECT_EQ(order.run_end(0, 1), 8u);
    EXPECT_TRUE(order.entries(0, 8).empty());
  }
}

TEST(MapOrder, BucketsAreAsManyAsTheirSizeAsksFor) {
  EXPECT_EQ(MapOrder::bits_for(0, 1024), 0u);
  EXPECT_EQ(MapOrder::bits_for(1024, 1024), 0u);
  EXPECT_EQ(MapOrder::bits_for(1025, 1024), 1u);
  EXPECT_EQ(MapOrder::bits_for(20'000'000, 1024), 15u);
  EXPECT_EQ(MapOrder::bits_for(std::numeric_limits<std::uint64_t>::max(), 1), 32u);
}

}  // namespace
}  // namespace cairn
