// MapParameters in asynchronous saves: a checkpoint holds the map as it was when step_end returned, and
// what changes meanwhile goes into the next.
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "api/training.hpp"
#include "maps/table.hpp"

namespace cairn::test {
namespace {

/// Holds rank 0's save before it is published, and makes it fail when asked to.
class Holder : public Listener {
 public:
  void phase(const Event& event, Phase phase) override {
    if (event.rank != 0) return;
    if (phase == Phase::reserving) directory_ = event.path.parent_path();
    if (phase != Phase::syncing) return;
    gate.pass();
    if (!fails) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp") != std::string::npos) std::filesystem::remove_all(entry.path());
    }
  }
  Gate gate;
  std::atomic<bool> fails{false};

 private:
  std::filesystem::path directory_;
};

class AsyncMaps : public World {
 protected:
  AsyncMaps() {
    state_.add("emb", table_.map());
    holder_.gate.open();
  }
  static bool is_multiple() {
    int level = 0;
    MPI_Query_thread(&level);
    return level == MPI_THREAD_MULTIPLE;
  }
  CheckpointSettings settings() {
    CheckpointSettings settings{.keep_checkpoint_max = 1000, .async_save = true,
                                .incremental = true, .listener = &holder_};
    settings.write.block_bytes = std::size_t{64} << 10;
    return settings;
  }
  void expect_stored(std::uint64_t step, const MapAndTruth& expected) {
    expect_stored(step, expected, directory());
  }
  static void expect_stored(std::uint64_t step, const MapAndTruth& expected,
                            const std::filesystem::path& directory) {
    MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
    State state;
    state.add("emb", map);
    load(MPI_COMM_WORLD, directory / ("run-1_" + std::to_string(step) + ".h5"), state);
    expected.expect_in(map, MPI_COMM_WORLD);
  }
  void run_steps(CheckpointSettings with, int steps) {
    std::vector<std::map<std::int64_t, MapAndTruth::Row>> truths;
    {
      ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), std::move(with));
      for (int step = 1; step <= steps; ++step) {
        table_.change(random_, step == 1 ? 8000 : 300, 6000);
        truths.push_back(table_.truth());
        static_cast<void>(checkpoint.step_end(static_cast<std::uint64_t>(step), state_));
        checkpoint.before_update();
      }
      checkpoint.wait();
    }
    for (std::size_t i = 0; i < truths.size(); ++i) {
      table_.truth() = truths[i];
      expect_stored(i + 1, table_);
    }
  }

  Holder holder_;
  MapAndTruth table_;
  State state_;
  std::mt19937_64 random_{2};
};

TEST_F(AsyncMaps, EveryStepIsSavedThenEachHoldsTheMapOfItsStep) { run_steps(settings(), 12); }

TEST_F(AsyncMaps, LazilyThenTheSameOrARefusal) {
  CheckpointSettings with = settings();
  with.lazy_capture = true;
  with.check_capture = true;
  if (is_multiple() || ranks() == 1) return run_steps(std::move(with), 6);
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), with);
  expect_error([&] { static_cast<void>(checkpoint.step_end(1, state_)); },
               ErrorCode::invalid_argument, {"lazy_capture", "MapParameters"});
}

/// A save fails in the background, with changes before it, while it is in flight, and after it.
TEST_F(AsyncMaps, ASaveInFlightFailsThenItsChangesAndThoseOnTopAreInTheNext) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  table_.change(random_, 8000, 6000);
  checkpoint.save(1, state_);
  table_.change(random_, 300, 6000);
  holder_.fails = true;
  if (is_multiple()) holder_.gate.close();
  static_cast<void>(checkpoint.step_end(2, state_));
  table_.change(random_, 300, 6000);  // on top, of some of the same keys
  holder_.gate.open();
  EXPECT_THROW(checkpoint.wait(), Error);
  holder_.fails = false;
  table_.change(random_, 50, 6000);
  const SaveReport report = checkpoint.save(3, state_);
  EXPECT_TRUE(report.is_increment);
  expect_stored(3, table_);
}

TEST_F(AsyncMaps, ASaveInFlightIsCommittedThenChangesOnTopAreInTheNext) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  table_.change(random_, 8000, 6000);
  checkpoint.save(1, state_);
  table_.change(random_, 300, 6000);
  if (is_multiple()) holder_.gate.close();
  static_cast<void>(checkpoint.step_end(2, state_));
  table_.change(random_, 300, 6000);
  holder_.gate.open();
  checkpoint.wait();
  static_cast<void>(checkpoint.save(3, state_));
  expect_stored(3, table_);
}

/// It ends while a save is under way: what that had taken is given back or committed, never lost.
TEST_F(AsyncMaps, TheCheckpointObjectGoesThenTheTableTakesAnotherSave) {
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
    table_.change(random_, 8000, 6000);
    static_cast<void>(checkpoint.step_end(1, state_));
  }
  table_.change(random_, 100, 6000);
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("other"), settings());
  EXPECT_FALSE(checkpoint.save(1, state_).is_increment);
}

/// What the save froze is not what the name stands for now.
TEST_F(AsyncMaps, TheMapIsMadeAnewMeanwhileThenTheNextSaveIsFull) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  table_.change(random_, 8000, 6000);
  if (is_multiple()) holder_.gate.close();
  static_cast<void>(checkpoint.step_end(1, state_));
  const MapAndTruth before = std::exchange(table_, MapAndTruth());
  table_.change(random_, 50, 6000);
  holder_.gate.open();
  checkpoint.wait();
  EXPECT_FALSE(checkpoint.save(2, state_).is_increment);
  expect_stored(1, before);
  expect_stored(2, table_);
}

/// Another object is that map then: it knows what changed since.
TEST_F(AsyncMaps, TheMapIsMovedAwayMeanwhileThenItsNextSaveIsAnIncrement) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  table_.change(random_, 8000, 6000);
  if (is_multiple()) holder_.gate.close();
  static_cast<void>(checkpoint.step_end(1, state_));
  MapAndTruth moved(std::move(table_));
  moved.change(random_, 50, 6000);
  holder_.gate.open();
  checkpoint.wait();
  State state;
  state.add("emb", moved.map());
  EXPECT_TRUE(checkpoint.save(2, state).is_increment);
  expect_stored(2, moved);
}

/// Map and State go; then the save is committed, or given up with the object that makes it.
TEST_F(AsyncMaps, TheMapGoesMeanwhileThenItIsSavedNonetheless) {
  for (const bool commits : {true, false}) {
    std::optional<ModelCheckpoint> checkpoint(
        std::in_place, MPI_COMM_WORLD, "run", path(commits ? "a" : "b"), settings());
    auto table = std::make_unique<MapAndTruth>();
    auto state = std::make_unique<State>();
    state->add("emb", table->map());
    table->change(random_, 8000, 6000);
    table_.truth() = table->truth();
    if (is_multiple()) holder_.gate.close();
    static_cast<void>(checkpoint->step_end(1, *state));
    checkpoint->before_update();
    state.reset();
    { const MapAndTruth gone(std::move(*table)); }
    table.reset();
    holder_.gate.open();
    if (commits) checkpoint->wait();
    checkpoint.reset();
    if (commits) expect_stored(1, table_, path("a"));
  }
}

TEST_F(AsyncMaps, ALoadIntoAMapThatIsBeingSavedIsRefused) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  table_.change(random_, 8000, 6000);
  checkpoint.save(1, state_);
  const std::filesystem::path first = path("run-1_1.h5");
  if (is_multiple()) holder_.gate.close();
  static_cast<void>(checkpoint.step_end(2, state_));
  expect_error([&] { load(MPI_COMM_WORLD, first, state_); }, ErrorCode::invalid_argument,
               {"map_parameter \"emb\"", "while a save of it is under way", "state unchanged"});
  table_.expect_in_own();
  holder_.gate.open();
  checkpoint.wait();
  expect_stored(2, table_);
}

TEST_F(AsyncMaps, InShardsThenEachHoldsTheMapOfItsStep) {
  CheckpointSettings with = settings();
  with.integrated_save = false;
  with.lazy_capture = true;
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), std::move(with));
    for (std::uint64_t step = 1; step <= 4; ++step) {
      table_.change(random_, step == 1 ? 8000 : 300, 6000);
      static_cast<void>(checkpoint.step_end(step, state_));
      checkpoint.before_update();
    }
    checkpoint.wait();
  }
  MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
  State state;
  state.add("emb", map);
  EXPECT_EQ(load(MPI_COMM_WORLD, path("run-1_4.shards"), state).increments, 3U);
  table_.expect_in(map, MPI_COMM_WORLD);
}

}  // namespace
}  // namespace cairn::test
