#include "base/map_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace cairn {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kGreatest = std::numeric_limits<std::int64_t>::max();

/// Computed by a program of its own, in Python. Those of key 0 are in splitmix64's own tests.
struct Known {
  std::int64_t key;
  std::uint64_t owner_hash;
  std::uint64_t order;
  std::array<int, 3> owner;  ///< of 2, 3 and 1000 ranks
};
constexpr std::array kKnown{
    Known{0, 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, {1, 1, 535}},
    Known{1, 0x910a2dec89025cc1, 0xbeeb8da1658eec67, {1, 2, 465}},
    Known{-1, 0xe4d971771b652c20, 0xe99ff867dbf682c9, {0, 2, 936}},
    Known{1234567, 0x599ed017fb08fc85, 0x2c73f08458540fa5, {1, 0, 317}},
    Known{-2147483648, 0xee1591ea220fb185, 0x4a69c0db2a03efbe, {1, 1, 157}},
    Known{kLeast, 0x481ec0a212a9f3db, 0xc46fa638a6309012, {1, 1, 915}},
    Known{kGreatest, 0x2a67d7552e039ea7, 0xf20c01408082f947, {1, 0, 39}},
};

TEST(MapHash, IsThatOfTheFormat) {
  for (const Known& known : kKnown) {
    EXPECT_EQ(order_of(known.key), known.order) << known.key;
    EXPECT_EQ(default_owner(known.key, 1), 0) << known.key;
    EXPECT_EQ(default_owner(known.key, 2), known.owner[0]) << known.key;
    EXPECT_EQ(default_owner(known.key, 3), known.owner[1]) << known.key;
    EXPECT_EQ(default_owner(known.key, 1000), known.owner[2]) << known.key;
    EXPECT_EQ(default_owner(known.key, std::numeric_limits<int>::max()),
              static_cast<int>(known.owner_hash % 2147483647));
  }
}

TEST(MapHash, OrderGivesTheKeyBack) {
  std::mt19937_64 random(1);
  for (const Known& known : kKnown) EXPECT_EQ(key_of_order(known.order), known.key);
  for (int i = 0; i < 100'000; ++i) {
    const auto key = static_cast<std::int64_t>(random());
    ASSERT_EQ(key_of_order(order_of(key)), key);
  }
}

/// The largest of the counts of `places` among `count` equally likely ones.
std::size_t fullest(const std::vector<std::uint64_t>& places, std::uint64_t count) {
  std::vector<std::size_t> counts(count);
  for (const std::uint64_t place : places) ++counts.at(place);
  return *std::ranges::max_element(counts);
}

/// More than this many of `n` keys in one of `places` happens by chance in none of 10^9 cases.
std::size_t bound(std::size_t n, std::size_t places) {
  const double mean = static_cast<double>(n) / static_cast<double>(places);
  return static_cast<std::size_t>(mean + 8 * std::sqrt(mean) + 16);
}

/// All bits of a hash that are used: the low ones, the tag above, the bucket above.
void expect_spread(const std::vector<std::int64_t>& keys, const std::string& what) {
  constexpr std::size_t kPlaces = 1024;
  std::vector<std::uint64_t> groups, tags, buckets, owners;
  for (const std::int64_t key : keys) {
    groups.push_back(table_hash(key) % kPlaces);
    tags.push_back(table_hash(key) >> 56);
    buckets.push_back(order_of(key) >> 54);
    owners.push_back(static_cast<std::uint64_t>(default_owner(key, 96)));
  }
  EXPECT_LE(fullest(groups, kPlaces), bound(keys.size(), kPlaces)) << what;
  EXPECT_LE(fullest(tags, 256), bound(keys.size(), 256)) << what;
  EXPECT_LE(fullest(buckets, kPlaces), bound(keys.size(), kPlaces)) << what;
  EXPECT_LE(fullest(owners, 96), bound(keys.size(), 96)) << what;
}

TEST(MapHash, SpreadsKeysWithPatterns) {
  constexpr std::int64_t kCount = 16'384;
  for (unsigned shift = 0; shift < 50; ++shift) {
    std::vector<std::int64_t> multiples, from_the_top;
    for (std::int64_t i = 0; i < kCount; ++i) {
      multiples.push_back(i << shift);
      from_the_top.push_back(kGreatest - (i << shift));
    }
    expect_spread(multiples, "multiples of 2^" + std::to_string(shift));
    expect_spread(from_the_top, "from the top by 2^" + std::to_string(shift));
  }
  std::vector<std::int64_t> pairs;  // such as (table, row) in one number
  for (std::int64_t i = 0; i < kCount; ++i) pairs.push_back((i / 128) << 32 | i % 128);
  expect_spread(pairs, "pairs");
}

TEST(MapHash, KeysOfOneRankOrBucketSpreadOverItsTable) {
  for (const int ranks : {2, 3, 16, 96}) {
    std::vector<std::int64_t> owned, bucket;
    for (std::int64_t key = 0; key < 3'000'000; ++key) {
      if (default_owner(key, ranks) == ranks - 1) owned.push_back(key);
      if (order_of(key) >> 58 == 5) bucket.push_back(key);
    }
    std::vector<std::uint64_t> groups, buckets, groups_of_bucket;
    for (const std::int64_t key : owned) {
      groups.push_back(table_hash(key) % 4096);
      buckets.push_back(order_of(key) >> 52);
    }
    for (const std::int64_t key : bucket) groups_of_bucket.push_back(table_hash(key) % 4096);
    EXPECT_LE(fullest(groups, 4096), bound(owned.size(), 4096)) << ranks;
    EXPECT_LE(fullest(buckets, 4096), bound(owned.size(), 4096)) << ranks;
    EXPECT_LE(fullest(groups_of_bucket, 4096), bound(bucket.size(), 4096)) << ranks;
  }
}

}  // namespace
}  // namespace cairn
