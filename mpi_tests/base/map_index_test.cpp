#include "base/map_index.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "base/message_of.hpp"

namespace cairn {
namespace {

using testing::message_of;

/// The number that the index finds when the right one is `number`.
std::uint64_t find(const MapIndex& index, std::uint64_t hash, std::uint64_t number) {
  return index.find(hash, [number](std::uint64_t found) { return found == number; });
}

TEST(MapIndex, FilledToCapacityFindsAllAndOnlyThose) {
  std::mt19937_64 random(2);
  MapIndex index;
  index.reset(50'000);
  std::map<std::uint64_t, std::uint64_t> number_of;
  while (number_of.size() < index.capacity()) {
    const std::uint64_t hash = random();
    number_of.emplace(hash, number_of.size());
  }
  for (const auto& [hash, number] : number_of) index.insert(hash, number);
  for (const auto& [hash, number] : number_of) {
    ASSERT_EQ(find(index, hash, number), number);
    ASSERT_NE(index.first(hash), MapIndex::kNone);
  }
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(find(index, random(), 1u << 31), MapIndex::kNone);
  for (const auto& [hash, number] : number_of) {
    if (number % 3 != 0) index.remove(hash, number);
  }
  for (const auto& [hash, number] : number_of) {
    ASSERT_EQ(find(index, hash, number), number % 3 == 0 ? number : MapIndex::kNone);
    ASSERT_TRUE(number % 3 != 0 || index.first(hash) != MapIndex::kNone);
  }
}

TEST(MapIndex, ThousandsOfEqualHashesAreFoundAndRemoved) {
  for (const std::uint64_t hash : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{7} << 56}) {
    constexpr std::uint64_t kCount = 4000;  // more than the counts in a group can hold
    MapIndex index;
    index.reset(kCount);
    for (std::uint64_t number = 0; number < kCount; ++number) index.insert(hash, number);
    for (std::uint64_t number = 0; number < kCount; ++number) {
      ASSERT_EQ(find(index, hash, number), number);
    }
    for (std::uint64_t number = 0; number < kCount; number += 2) {
      index.remove(hash, number);
      ASSERT_EQ(find(index, hash, kCount - 1), kCount - 1) << "the last one, after " << number;
    }
    for (std::uint64_t number = 0; number < kCount; ++number) {
      ASSERT_EQ(find(index, hash, number), number % 2 == 1 ? number : MapIndex::kNone);
    }
    for (std::uint64_t number = 1; number < kCount; number += 2) index.remove(hash, number);
    ASSERT_EQ(find(index, hash, 1), MapIndex::kNone);
    index.insert(hash, 5);
    EXPECT_EQ(find(index, hash, 5), 5u);
  }
}

TEST(MapIndex, AfterRemovalAGroupIsSureAgain) {
  MapIndex index;
  index.reset(1000);
  const std::uint64_t hash = std::uint64_t{9} << 56;
  for (std::uint64_t number = 0; number < 100; ++number) index.insert(hash, number);
  for (std::uint64_t number = 0; number < 12; ++number) index.remove(hash, number);
  EXPECT_EQ(index.first(hash), MapIndex::kUnsure) << "88 numbers are behind the first group";
  for (std::uint64_t number = 12; number < 100; ++number) index.remove(hash, number);
  EXPECT_EQ(index.first(hash), MapIndex::kNone);
}

TEST(MapIndex, ASearchEndsWhereEveryGroupWasPassed) {
  MapIndex index;
  index.reset(14);  // two groups of twelve
  const std::uint64_t first = std::uint64_t{9} << 56;
  const std::uint64_t second = first + 1;
  for (std::uint64_t number = 0; number < 14; ++number) index.insert(first, number);
  for (std::uint64_t number = 0; number < 12; ++number) index.remove(first, number);
  for (std::uint64_t number = 14; number < 26; ++number) index.insert(second, number);
  EXPECT_EQ(index.first(std::uint64_t{8} << 56), MapIndex::kUnsure);
  EXPECT_EQ(index.first((std::uint64_t{8} << 56) + 1), MapIndex::kUnsure);
  EXPECT_EQ(find(index, first, 99), MapIndex::kNone);
  for (std::uint64_t number = 12; number < 26; ++number) {
    EXPECT_EQ(find(index, number < 14 ? first : second, number), number);
  }
}

TEST(MapIndex, NumbersOf34BitsComeBack) {
  MapIndex index;
  index.reset(64);
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t high = 0; high < 4; ++high) {
    for (const std::uint64_t low : {std::uint64_t{0}, std::uint64_t{0xffffffff}, 77 + high}) {
      numbers.push_back(high << 32 | low);
    }
  }
  const std::uint64_t hash = std::uint64_t{3} << 56;
  for (const std::uint64_t number : numbers) index.insert(hash, number);
  for (const std::uint64_t number : numbers) EXPECT_EQ(find(index, hash, number), number);
  EXPECT_EQ(index.first(hash), MapIndex::kUnsure) << "it tells numbers of 32 bits";
  for (const std::uint64_t number : numbers) {
    index.remove(hash, number);
    index.insert(hash, number ^ (std::uint64_t{3} << 32));
  }
  for (const std::uint64_t number : numbers) {
    const std::uint64_t other = number ^ (std::uint64_t{3} << 32);
    EXPECT_EQ(find(index, hash, other), other);
  }
}

TEST(MapIndex, TooManyNumbersAreRefused) {
  MapIndex index;
  const std::string message = message_of(ErrorCode::invalid_argument,
                                         [&] { index.reset((std::uint64_t{1} << 34) + 1); });
  EXPECT_NE(message.find("17179869185 entries on a rank: at most 2^34 expected"), std::string::npos)
      << message;
  index.insert(1, 2);
  EXPECT_EQ(find(index, 1, 2), 2u);
}

}  // namespace
}  // namespace cairn
