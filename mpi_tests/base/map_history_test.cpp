#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "base/map_order.hpp"
#include "base/map_table.hpp"

namespace cairn {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::array<std::int64_t, 8> kExtremes{
    0,  -1, 1, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
    -2, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};

/// Keys from a small or a large set, with the extremes among them, and rows of random bytes.
class Draw {
 public:
  Draw(unsigned seed, std::size_t keys, unsigned shift)
      : random_(seed), keys_(keys), shift_(shift) {}

  std::int64_t key() {
    const std::size_t place = random_() % keys_;
    if (place < kExtremes.size()) return kExtremes[place];
    return static_cast<std::int64_t>(place << shift_);
  }
  std::vector<std::int64_t> keys(std::size_t most) {
    std::vector<std::int64_t> keys(random_() % (most + 1));
    std::ranges::generate(keys, [this] { return key(); });
    return keys;
  }
  Bytes bytes(std::size_t count) {
    Bytes bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }
  std::size_t below(std::size_t n) { return random_() % n; }

 private:
  std::mt19937_64 random_;
  std::size_t keys_;
  unsigned shift_;
};

/// A table, a plain map that is told the same, and a disk: what increments make of a base.
class TableAndModel {
 public:
  using Plain = std::map<std::int64_t, Bytes>;

  TableAndModel(std::size_t row_bytes, Draw draw)
      : row_bytes_(row_bytes),
        draw_(draw),
        default_row_(draw_.bytes(row_bytes)),
        table_(default_row_) {}

  MapTable& table() { return table_; }
  const Plain& disk() const { return disk_; }
  const Plain& plain() const { return plain_; }

  void put_one() {
    const std::int64_t key = draw_.key();
    const Bytes row = draw_.bytes(row_bytes_);
    table_.put(key, row.data());
    note_put(key, row);
  }
  void erase_one() {
    const std::int64_t key = draw_.key();
    EXPECT_EQ(table_.erase(key), plain_.erase(key) == 1);
  }
  void get_one() {
    const std::int64_t key = draw_.key();
    Bytes row(row_bytes_);
    EXPECT_EQ(table_.get(key, row.data()), plain_.contains(key));
    EXPECT_EQ(row, expected(key));
  }
  void put_many() {
    const std::vector<std::int64_t> keys = draw_.keys(200);
    const Bytes rows = draw_.bytes(keys.size() * row_bytes_);
    table_.put(keys, rows.data());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto row = rows.begin() + static_cast<std::ptrdiff_t>(i * row_bytes_);
      note_put(keys[i], Bytes(row, row + static_cast<std::ptrdiff_t>(row_bytes_)));
    }
  }
  void erase_many() {
    const std::vector<std::int64_t> keys = draw_.keys(60);
    std::size_t there = 0;
    for (const std::int64_t key : keys) there += plain_.erase(key);
    EXPECT_EQ(table_.erase(keys), there);
  }
  void get_many() {
    const std::vector<std::int64_t> keys = draw_.keys(200);
    Bytes rows(keys.size() * row_bytes_);
    Bytes expected_rows;
    std::size_t there = 0;
    for (const std::int64_t key : keys) {
      there += plain_.count(key);
      expected_rows.insert(expected_rows.end(), expected(key).begin(), expected(key).end());
    }
    EXPECT_EQ(table_.get(keys, rows.data()), there);
    EXPECT_EQ(rows, expected_rows);
  }
  void clear() {
    table_.clear();
    plain_.clear();
  }

  /// Takes what an increment would store, and checks that it is no more than need be.
  void begin_save() {
    table_.freeze();
    frozen_ = plain_;
    increment_.clear();
    const MapOrder order(table_, MapOrder::Which::changed, 3);
    std::set<std::int64_t> modified;
    for (const MapOrder::Entry& entry : order.entries(0, order.counts().size())) {
      std::optional<Bytes>& change = increment_[entry.key];
      EXPECT_FALSE(change) << "a key comes twice";
      if (entry.number == MapRows::kNone) {
        EXPECT_FALSE(plain_.contains(entry.key));
        EXPECT_TRUE(ever_frozen_.contains(entry.key)) << "no checkpoint can hold it";
        continue;
      }
      EXPECT_EQ(table_.status(entry.number), EntryStatus::modified);
      const std::byte* row = table_.row(entry.number);
      change = Bytes(row, row + row_bytes_);
      modified.insert(entry.key);
    }
    std::set<std::int64_t> put_and_there;
    std::ranges::set_union(put_, put_before_, std::inserter(put_and_there, put_and_there.end()));
    std::erase_if(put_and_there, [this](std::int64_t key) { return !plain_.contains(key); });
    EXPECT_EQ(modified, put_and_there);
    for (const auto& [key, row] : plain_) ever_frozen_.insert(key);
    put_before_.merge(put_);
    put_.clear();
  }
  void commit() {
    table_.commit();
    for (const auto& [key, row] : increment_) {
      if (row) disk_[key] = *row;
      else disk_.erase(key);
    }
    put_before_.clear();
    EXPECT_EQ(disk_, frozen_);
  }
  void abandon() { table_.abandon(); }

  void check_all() {
    EXPECT_EQ(table_.size(), plain_.size());
    Plain found;
    table_.visit_all([&](MapTable::Number number) {
      EXPECT_EQ(table_.find(table_.key(number)), number);
      const std::byte* row = table_.row(number);
      EXPECT_TRUE(found.emplace(table_.key(number), Bytes(row, row + row_bytes_)).second);
    });
    EXPECT_EQ(found, plain_);
  }

 private:
  const Bytes& expected(std::int64_t key) const {
    const auto found = plain_.find(key);
    return found == plain_.end() ? default_row_ : found->second;
  }
  void note_put(std::int64_t key, const Bytes& row) {
    plain_[key] = row;
    put_.insert(key);
  }

  std::size_t row_bytes_;
  Draw draw_;
  Bytes default_row_;
  MapTable table_;
  Plain plain_;
  Plain disk_;
  Plain frozen_;
  std::map<std::int64_t, std::optional<Bytes>> increment_;  ///< nothing: erased
  std::set<std::int64_t> put_;         ///< since the last freeze
  std::set<std::int64_t> put_before_;  ///< and before it, since the one that was committed
  std::set<std::int64_t> ever_frozen_;
};

struct Case {
  const char* name;
  std::size_t row_bytes;
  std::size_t keys;
  unsigned shift;
  int steps;

  friend void PrintTo(const Case& given, std::ostream* out) { *out << given.name; }
};

class MapTableHistory : public ::testing::TestWithParam<Case> {};

/// One of the things that a program does to a table, at random.
void step(TableAndModel& both, Draw& choose) {
  const std::size_t choice = choose.below(1000);
  if (choice < 300) both.put_one();
  else if (choice < 550) both.erase_one();
  else if (choice < 750) both.get_one();
  else if (choice < 830) both.put_many();
  else if (choice < 920) both.erase_many();
  else if (choice < 998) both.get_many();
  else both.clear();
}

TEST_P(MapTableHistory, EqualsAPlainMap) {
  const Case& given = GetParam();
  TableAndModel both(given.row_bytes, Draw(3, given.keys, given.shift));
  Draw choose(4, 1, 0);
  for (int i = 0; i < given.steps && !HasFailure(); ++i) step(both, choose);
  both.check_all();
}

TEST_P(MapTableHistory, IncrementsMakeOfTheBaseWhatTheTableWas) {
  const Case& given = GetParam();
  TableAndModel both(given.row_bytes, Draw(5, given.keys, given.shift));
  Draw choose(6, 1, 0);
  int commits = 0;
  for (int save = 0; save < given.steps / 100 && !HasFailure(); ++save) {
    for (std::size_t i = choose.below(100); i > 0; --i) step(both, choose);
    both.begin_save();
    for (std::size_t i = choose.below(3) * 20; i > 0; --i) step(both, choose);  // in flight
    if (choose.below(3) == 0) {
      both.abandon();
    } else {
      both.commit();
      ++commits;
    }
  }
  EXPECT_GT(commits, given.steps / 400);
  both.check_all();
  both.begin_save();
  both.commit();
  EXPECT_EQ(both.disk(), both.plain());
}

INSTANTIATE_TEST_SUITE_P(Rows, MapTableHistory,
                         ::testing::Values(Case{"OneByteFewKeys", 1, 300, 0, 20'000},
                                           Case{"OneFloatManyKeys", 4, 100'000, 40, 20'000},
                                           Case{"SixteenFloats", 64, 2'000, 32, 10'000},
                                           Case{"OddSize", 100, 1'000, 55, 5'000},
                                           Case{"ManyLines", 1024, 500, 1, 3'000},
                                           Case{"TooLongToInline", 1088, 500, 3, 3'000},
                                           Case{"VeryFewKeys", 8, 10, 0, 10'000}),
                         [](const auto& given) { return given.param.name; });

/// Of rows so long that a chunk has fewer than 64 of them.
TEST(LongRows, EachIsVisitedOnceAndFound) {
  for (const auto& [row_bytes, count] : {std::pair<std::size_t, std::int64_t>{300'000, 100},
                                         {20'000'000, 5}}) {
    for (const bool reserved : {false, true}) {
      MapTable table{Bytes(row_bytes)};
      if (reserved) table.reserve(static_cast<std::uint64_t>(count));
      Bytes row(row_bytes);
      for (std::int64_t key = 0; key < count; ++key) {
        row.back() = static_cast<std::byte>(key);
        table.put(key, row.data());
      }
      EXPECT_TRUE(table.erase(1));
      std::set<std::int64_t> keys;
      table.visit_all([&](MapTable::Number number) {
        EXPECT_TRUE(keys.insert(table.key(number)).second) << "visited twice";
        EXPECT_EQ(table.row(number)[row_bytes - 1], static_cast<std::byte>(table.key(number)));
      });
      EXPECT_EQ(keys.size(), static_cast<std::size_t>(count - 1));
    }
  }
}

}  // namespace
}  // namespace cairn
