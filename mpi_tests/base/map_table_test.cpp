#include "base/map_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "base/map_order.hpp"
#include "base/message_of.hpp"

namespace cairn {
namespace {

using testing::message_of;
using Bytes = std::vector<std::byte>;

/// A row of 64 bytes that tells its key.
std::array<std::int64_t, 8> row_of(std::int64_t key) { return {key, ~key, key + 7}; }

void put(MapTable& table, std::int64_t key) {
  const auto row = row_of(key);
  table.put(key, reinterpret_cast<const std::byte*>(row.data()));
}

bool holds(const MapTable& table, std::int64_t key) {
  auto row = row_of(0);
  const bool there = table.get(key, reinterpret_cast<std::byte*>(row.data()));
  return there && row == row_of(key);
}

TEST(MapTable, ManyChunksAndRehashesKeepEveryRow) {
  for (const unsigned shift : {0u, 20u, 43u}) {
    MapTable table(Bytes(64));
    constexpr std::int64_t kCount = 600'000;  // more than two chunks, and two of the index's
    for (std::int64_t i = 0; i < kCount; ++i) put(table, i << shift);
    for (std::int64_t i = 0; i < kCount; i += 3) ASSERT_TRUE(table.erase(i << shift));
    for (std::int64_t i = 0; i < kCount; ++i) ASSERT_EQ(holds(table, i << shift), i % 3 != 0) << i;
    for (std::int64_t i = 0; i < kCount; i += 6) put(table, i << shift);
    for (std::int64_t i = 0; i < kCount; ++i) {
      ASSERT_EQ(holds(table, i << shift), i % 3 != 0 || i % 6 == 0) << i;
    }
  }
}

TEST(MapTable, ErasedRowsAreUsedAgain) {
  MapTable table(Bytes(64));
  for (std::int64_t key = 0; key < 1000; ++key) put(table, key);
  MapTable::Number highest = 0;
  for (std::int64_t round = 1; round < 50; ++round) {
    for (std::int64_t i = 0; i < 1000; ++i) table.erase((round - 1) * 1000 + i);
    for (std::int64_t i = 0; i < 1000; ++i) put(table, round * 1000 + i);
  }
  table.visit_all([&](MapTable::Number number) { highest = std::max(highest, number); });
  EXPECT_EQ(table.size(), 1000u);
  EXPECT_EQ(highest, 999u);
}

TEST(MapTable, RoomThatWasReservedIsNotMadeAgain) {
  MapTable table(Bytes(64));
  table.reserve(10'000);
  put(table, 1);
  const std::byte* row = table.row(table.find(1));
  for (std::int64_t key = 2; key < 10'000; ++key) put(table, key);
  EXPECT_EQ(table.row(table.find(1)), row);
  EXPECT_TRUE(holds(table, 1) && holds(table, 9'999));
}

/// What an increment would hold, with 'e' for erased and 'm' for modified.
std::map<std::int64_t, char> frozen_changes(MapTable& table) {
  table.freeze();
  std::map<std::int64_t, char> changes;
  const MapOrder order(table, MapOrder::Which::changed, 0);
  for (const MapOrder::Entry& entry : order.entries(0, 1)) {
    changes[entry.key] = entry.number == MapRows::kNone ? 'e' : 'm';
  }
  return changes;
}

std::map<std::int64_t, char> changes_committed(MapTable& table) {
  auto changes = frozen_changes(table);
  table.commit();
  return changes;
}

using Changes = std::map<std::int64_t, char>;

TEST(MapTable, PutAndErasedBetweenSavesLeavesNothing) {
  MapTable table(Bytes(64));
  put(table, 1);
  EXPECT_EQ(changes_committed(table), (Changes{{1, 'm'}}));
  put(table, 2);
  table.erase(2);
  EXPECT_EQ(changes_committed(table), Changes{});
}

TEST(MapTable, ErasedThenPutIsModified) {
  MapTable table(Bytes(64));
  put(table, 1);
  put(table, 2);
  changes_committed(table);
  table.erase(1);
  put(table, 1);
  table.erase(2);
  put(table, 2);
  table.erase(2);
  EXPECT_EQ(changes_committed(table), (Changes{{1, 'm'}, {2, 'e'}}));
  EXPECT_EQ(changes_committed(table), Changes{}) << "a commit clears all marks";
}

/// A save of the keys 1 to 6 was committed, one of four changes is in flight, and three came since.
MapTable with_changes_in_flight_and_after() {
  MapTable table(Bytes(64));
  for (std::int64_t key = 1; key <= 6; ++key) put(table, key);
  changes_committed(table);
  put(table, 1);
  put(table, 2);
  table.erase(3);
  table.erase(4);
  EXPECT_EQ(frozen_changes(table), (Changes{{1, 'm'}, {2, 'm'}, {3, 'e'}, {4, 'e'}}));
  table.erase(1);  // modified in flight, now erased
  put(table, 3);   // erased in flight, now there
  put(table, 5);
  return table;
}

TEST(MapTable, ChangesOnTopOfASaveInFlightStay) {
  MapTable table = with_changes_in_flight_and_after();
  table.commit();
  EXPECT_EQ(changes_committed(table), (Changes{{1, 'e'}, {3, 'm'}, {5, 'm'}}));
}

TEST(MapTable, AnAbandonedSaveGivesItsMarksBackToWhatWasNotChangedSince) {
  MapTable table = with_changes_in_flight_and_after();
  table.abandon();
  const Changes all{{1, 'e'}, {2, 'm'}, {3, 'm'}, {4, 'e'}, {5, 'm'}};
  EXPECT_EQ(frozen_changes(table), all);
  table.abandon();
  EXPECT_EQ(frozen_changes(table), all) << "however often a save fails";
  table.commit();
  EXPECT_EQ(changes_committed(table), Changes{});
}

TEST(MapTable, ClearErasesWhatACheckpointMayHold) {
  MapTable table(Bytes(64));
  put(table, 1);
  put(table, 2);
  changes_committed(table);
  put(table, 3);
  table.clear();
  EXPECT_EQ(table.size(), 0u);
  EXPECT_FALSE(holds(table, 1));
  put(table, 2);
  EXPECT_EQ(changes_committed(table), (Changes{{1, 'e'}, {2, 'm'}}));
}

TEST(MapTable, ASecondSaveInFlightIsRefused) {
  MapTable table(Bytes(64));
  put(table, 1);
  table.freeze();
  const std::string message = message_of(ErrorCode::invalid_argument, [&] { table.freeze(); });
  EXPECT_NE(message.find("while another save of it is under way"), std::string::npos) << message;
  EXPECT_TRUE(table.in_flight());
  table.commit();
  EXPECT_FALSE(table.in_flight());
  EXPECT_EQ(changes_committed(table), Changes{});
}

}  // namespace
}  // namespace cairn
