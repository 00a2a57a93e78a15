// Between two increments keys move to other ranks, and maps to other names.
#include <fstream>
#include <utility>

#include "maps/table.hpp"

namespace cairn::test {
namespace {

using Row = MapAndTruth::Row;

class MapNames : public World {
 protected:
  static CheckpointSettings settings(bool in_one_file = true) {
    CheckpointSettings settings{.keep_checkpoint_max = 1000, .integrated_save = in_one_file,
                                .incremental = true};
    settings.write.block_bytes = std::size_t{64} << 10;
    settings.clock = [] { return Time{std::chrono::seconds{1}}; };
    settings.run_id = RunId{};
    return settings;
  }
  static ModelCheckpoint make(const std::filesystem::path& directory, bool in_one_file = true,
                              MPI_Comm comm = MPI_COMM_WORLD) {
    return {comm, "run", directory, settings(in_one_file)};
  }
  static void fill(MapAndTruth& table) {
    for (std::int64_t key = 0; key < 3000; ++key) table.put(key, static_cast<float>(key));
  }
  static int last() { return ranks() - 1; }
  static MapParameter empty() { return MapParameter::of<std::int64_t, float>({MapAndTruth::kRow}); }
  /// The row that the truth has for this value.
  static Row row_of(float value) { return {value, value + 0.5F, -value}; }

  /// Rank `to` holds the key from now on, and nobody else; its row changes.
  void move(std::int64_t key, int to, float value) {
    table_.truth()[key] = row_of(value);
    if (rank() != to) table_.map().erase(key);
    const Row row = row_of(value);
    if (rank() == to) table_.map().put(key, std::span(row));
  }
  void expect_restored(bool in_one_file, std::uint64_t step) {
    for (int part_ranks = 1; part_ranks <= ranks(); ++part_ranks) {
      const Part part(part_ranks);
      if (!part.has_me()) continue;
      MapParameter map = empty();
      State state;
      state.add("emb", map);
      ModelCheckpoint checkpoint = make(directory(), in_one_file, part.comm());
      const auto restored = checkpoint.restore(state);
      ASSERT_TRUE(restored.has_value());
      EXPECT_EQ(restored->step, step);
      EXPECT_EQ(restored->increments, step - 1);
      table_.expect_in(map, part.comm());
    }
  }

  MapAndTruth table_;
  MapAndTruth other_;
};

class MapMoves : public MapNames, public ::testing::WithParamInterface<bool> {};

TEST_P(MapMoves, KeysGoToAnotherRankThenTheyComeBackFromIt) {
  State state;
  state.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(directory(), GetParam());
    checkpoint.save(1, state);
    // To the first rank, to the last, and then back and away again.
    for (std::int64_t key = 0; key < 50; ++key) move(key, 0, 7);
    for (std::int64_t key = 50; key < 100; ++key) move(key, last(), 8);
    table_.erase(100);
    EXPECT_TRUE(checkpoint.save(2, state).is_increment);
    for (int key = 30; key < 70; ++key) move(key, key % ranks(), 9);
    EXPECT_TRUE(checkpoint.save(3, state).is_increment);
  }
  expect_restored(GetParam(), 3);
}

/// A save in between failed, so that the one that had it and the one before have both erased it.
TEST_P(MapMoves, AKeyIsErasedOnTwoRanksThenItIsGone) {
  if (ranks() == 1) GTEST_SKIP();
  State state;
  state.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(directory(), GetParam());
    checkpoint.save(1, state);
    for (std::int64_t key = 0; key < 50; ++key) move(key, 0, 7);
    on_root([&] {  // what no save replaces
      std::filesystem::create_directories(path("run-1_2.h5/in-the-way"));
      std::ofstream(path("run-1_2.shards")) << "in the way";
    });
    EXPECT_THROW(checkpoint.save(2, state), Error);
    on_root([&] {
      std::filesystem::remove_all(path("run-1_2.h5"));
      std::filesystem::remove_all(path("run-1_2.shards"));
    });
    for (std::int64_t key = 0; key < 50; ++key) {
      table_.truth().erase(key);
      table_.map().erase(key);
    }
    const SaveReport report = checkpoint.save(2, state);
    EXPECT_TRUE(report.is_increment);
    EXPECT_EQ(report.map_bytes, 50U * (8 + 1 + 12));
  }
  expect_restored(GetParam(), 2);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MapMoves, ::testing::Bool(), [](const auto& kind) {
  return std::string(kind.param ? "InOneFile" : "InShards");
});

TEST_F(MapNames, KeysMovedThenTheFileIsThatOfOneRankThatHadTheSameHistory) {
  State state;
  state.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(path("all"));
    checkpoint.save(1, state);
    for (std::int64_t key = 0; key < 50; ++key) move(key, last(), 7);
    table_.erase(100);
    checkpoint.save(2, state);
  }
  on_root([&] {
    MapAndTruth alone(MPI_COMM_SELF);
    State same;
    same.add("emb", alone.map());
    fill(alone);
    ModelCheckpoint checkpoint = make(path("one"), true, MPI_COMM_SELF);
    checkpoint.save(1, same);
    for (std::int64_t key = 0; key < 50; ++key) alone.put(key, 7);
    alone.erase(100);
    checkpoint.save(2, same);
    const std::vector<char> expected = bytes_at(path("one") / "run-1_2.h5");
    EXPECT_FALSE(expected.empty());
    EXPECT_TRUE(bytes_at(path("all") / "run-1_2.h5") == expected);
  });
}

TEST_F(MapNames, AKeyIsPutOnTwoRanksThenTheIncrementIsRefusedUntilOneErasesIt) {
  if (ranks() == 1) GTEST_SKIP();
  State state;
  state.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(directory());
    checkpoint.save(1, state);
    const Row row = row_of(5);
    if (rank() < 2) table_.map().put(10, std::span(row));
    table_.erase(20);
    expect_error([&] { checkpoint.save(2, state); }, ErrorCode::layout,
                 {"map_parameter \"emb\"", "ranks 0 and 1 both hold one key"});
    move(10, 1, 5);
    EXPECT_TRUE(checkpoint.save(2, state).is_increment);
  }
  expect_restored(true, 2);
}

TEST_F(MapNames, AKeyIsPutOnTwoRanksInShardsThenTheIncrementIsRefusedToo) {
  if (ranks() == 1) GTEST_SKIP();
  State state;
  state.add("emb", table_.map());
  fill(table_);
  ModelCheckpoint checkpoint = make(directory(), false);
  checkpoint.save(1, state);
  const Row row = row_of(5);
  if (rank() < 2) table_.map().put(10, std::span(row));
  table_.erase(20);
  expect_error([&] { checkpoint.save(2, state); }, ErrorCode::layout,
               {"map_parameter \"emb\"", "ranks 0 and 1 both hold one key, 10"});
}

TEST_F(MapNames, TwoMapsAreSwappedThenTheNextSaveIsFull) {
  State state;
  state.add("a", table_.map()).add("b", other_.map());
  fill(table_);
  for (std::int64_t key = 0; key < 3000; ++key) other_.put(key, -1);
  ModelCheckpoint checkpoint = make(directory());
  checkpoint.save(1, state);
  std::swap(table_, other_);
  table_.put(3, 33);
  EXPECT_FALSE(checkpoint.save(2, state).is_increment);
  other_.put(4, 44);
  EXPECT_TRUE(checkpoint.save(3, state).is_increment);
  MapParameter a = empty();
  MapParameter b = empty();
  State to_fill;
  to_fill.add("a", a).add("b", b);
  load(MPI_COMM_WORLD, path("run-1_3.h5"), to_fill);
  table_.expect_in(a, MPI_COMM_WORLD);
  other_.expect_in(b, MPI_COMM_WORLD);
}

TEST_F(MapNames, AMapIsRestoredUnderAnotherNameThenTheNextSaveIsFull) {
  State first;
  first.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(directory());
    checkpoint.save(1, first);
  }
  LoadOptions strip;
  strip.strip_prefix = "model/";
  State second;  // both are filled from "emb"
  second.add("model/emb", table_.map()).add("emb", other_.map());
  {
    ModelCheckpoint checkpoint = make(directory());
    ASSERT_TRUE(checkpoint.restore(second, strip).has_value());
    other_.truth() = table_.truth();
    table_.put(3, 33);
    EXPECT_FALSE(checkpoint.save(2, second).is_increment);
  }
  MapParameter long_name = empty();
  MapParameter short_name = empty();
  State to_fill;
  to_fill.add("model/emb", long_name).add("emb", short_name);
  load(MPI_COMM_WORLD, path("run-1_2.h5"), to_fill);
  table_.expect_in(long_name, MPI_COMM_WORLD);
  other_.expect_in(short_name, MPI_COMM_WORLD);
}

TEST_F(MapNames, AMapIsRestoredUnderItsOwnNameThenTheNextSaveIsAnIncrement) {
  State state;
  state.add("emb", table_.map());
  fill(table_);
  {
    ModelCheckpoint checkpoint = make(directory());
    checkpoint.save(1, state);
  }
  ModelCheckpoint checkpoint = make(directory());
  ASSERT_TRUE(checkpoint.restore(state).has_value());
  table_.put(3, 33);
  EXPECT_TRUE(checkpoint.save(2, state).is_increment);
}

}  // namespace
}  // namespace cairn::test
