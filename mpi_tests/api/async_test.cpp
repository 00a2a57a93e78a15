// Asynchronous saves: what they hold, when they are done, what waits for what. Run at both levels of
// threads.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "api/training.hpp"

namespace cairn::test {
namespace {

std::uint64_t steps_to_try() {
  const char* const given = std::getenv("CAIRN_ASYNC_STEPS");
  return given == nullptr ? 12 : std::strtoull(given, nullptr, 10);
}

Key key_of(std::size_t bytes) {
  return Key::with_bytes(bytes, [](std::span<std::byte> key) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i * 5 + 2);
  });
}

struct Way {
  const char* name;
  bool shards;
  bool crc;
  std::size_t key_bytes;
  bool lazy;
};

class AsyncWays : public Training, public ::testing::WithParamInterface<Way> {
 protected:
  static CheckpointSettings settings() {
    CheckpointSettings settings = async();
    settings.integrated_save = !GetParam().shards;
    settings.crc_check = GetParam().crc;
    settings.lazy_capture = GetParam().lazy;
    if (GetParam().key_bytes > 0) settings.enc_key = key_of(GetParam().key_bytes);
    return settings;
  }
};

TEST_P(AsyncWays, EveryStepIsSavedThoughItsValuesAreOverwrittenAtOnce) {
  if (GetParam().lazy && !GetParam().shards && !is_multiple() && ranks() > 1) {
    GTEST_SKIP() << "this layout exchanges pieces";
  }
  const std::uint64_t steps = steps_to_try();
  std::vector<std::filesystem::path> saved;
  {
    ModelCheckpoint checkpoint = make(settings());
    for (std::uint64_t step = 1; step <= steps; ++step) {
      checkpoint.before_update();
      train_to(step);
      EXPECT_EQ(checkpoint.step_end(step, state_), Next::go_on);
      checkpoint.before_update();
      spoil();
      if (checkpoint.latest() && (saved.empty() || saved.back() != *checkpoint.latest())) {
        saved.push_back(*checkpoint.latest());
      }
    }
    EXPECT_TRUE(checkpoint.wait());
    saved.push_back(checkpoint.latest().value());
  }
  EXPECT_EQ(saved.size(), steps);
  LoadOptions options;
  options.enc_key = settings().enc_key;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    spoil();
    EXPECT_EQ(load(MPI_COMM_WORLD, saved.at(step - 1), state_, options).step, step);
    EXPECT_EQ(wrong(step), 0U) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , AsyncWays,
    ::testing::Values(Way{"plain", false, false, 0, false}, Way{"crc", false, true, 0, false},
                      Way{"sealed", false, false, 32, false}, Way{"shards", true, false, 0, false},
                      Way{"crc_shards", true, true, 0, false},
                      Way{"sealed_shards", true, false, 16, false},
                      Way{"lazy", false, false, 0, true}, Way{"lazy_crc", false, true, 0, true},
                      Way{"lazy_sealed", false, false, 32, true},
                      Way{"lazy_shards", true, false, 0, true},
                      Way{"lazy_sealed_shards", true, false, 16, true}),
    [](const auto& way) { return way.param.name; });

/// Holds the background where a save syncs.
struct Held : Listener {
  Gate gate;
  std::atomic<int> commits = 0;
  int captures = 0;
  std::vector<std::uint64_t> waited_for;
  std::vector<Phase> phases;
  Event last;
  void phase(const Event&, Phase phase) override {
    phases.push_back(phase);
    if (phase == Phase::syncing) gate.pass();
  }
  void captured(const Event&) override { ++captures; }
  void committed(const Event& event) override {
    ++commits;
    last = event;
  }
  void waited(const Event& event, double seconds) override {
    EXPECT_GE(seconds, 0);
    waited_for.push_back(event.step);
  }
};

class Async : public Training {
 protected:
  ModelCheckpoint make_held(CheckpointSettings settings = async()) {
    settings.listener = &held_;
    return make(std::move(settings));
  }
  Held held_;
};

TEST_F(Async, NewestMovesOnlyWhenTheSaveIsDurable) {
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  EXPECT_EQ(held_.captures, 1);
  EXPECT_EQ(checkpoint.latest(), std::nullopt);
  EXPECT_FALSE(checkpoint.wait(std::chrono::milliseconds{1}));
  EXPECT_EQ(checkpoint.latest(), std::nullopt);
  EXPECT_EQ(names(), names());  // nothing but temporary files and locks
  for (const std::string& name : names()) EXPECT_TRUE(name.starts_with(".")) << name;
  held_.gate.open();
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  EXPECT_EQ(held_.commits, 1);
  EXPECT_TRUE(checkpoint.wait(std::chrono::milliseconds{0}));  // nothing is under way
  ASSERT_TRUE(checkpoint.last_report().has_value());
  EXPECT_EQ(checkpoint.last_report()->path, path("run-1_1.h5"));
  EXPECT_GT(checkpoint.last_report()->stall_seconds, 0);
  EXPECT_GT(checkpoint.last_report()->seconds[static_cast<std::size_t>(Phase::capturing)], 0);
}

TEST_F(Async, ASaveThatIsDueWaitsForTheOneUnderWayAndTheListenerHears) {
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  held_.gate.open();  // the vote has been cast: it says "writing"
  train(checkpoint, 2);
  EXPECT_EQ(held_.waited_for, std::vector<std::uint64_t>{1});
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(held_.waited_for, (std::vector<std::uint64_t>{1, 2}));
  expect_newest(checkpoint, 2);
}

TEST_F(Async, AStepThatIsNotDueFindsThatTheSaveIsDone) {
  CheckpointSettings settings = async();
  settings.save_checkpoint_steps = 1'000'000;
  settings.save_checkpoint_seconds = none;
  ModelCheckpoint checkpoint = make_held(settings);
  // The first trigger is far away, so the save under way is that of step 1,000,000.
  train(checkpoint, 1'000'000);
  EXPECT_EQ(checkpoint.step_end(1'000'001, state_), Next::go_on);
  EXPECT_EQ(checkpoint.latest(), std::nullopt);
  held_.gate.open();
  for (std::uint64_t step = 1'000'002; !checkpoint.latest() && step < 1'900'000; ++step) {
    std::this_thread::yield();  // steps that take no time leave the background none
    EXPECT_EQ(checkpoint.step_end(step, state_), Next::go_on);
  }
  EXPECT_TRUE(held_.waited_for.empty());
  EXPECT_EQ(checkpoint.latest(), path("run-1_1000000.h5"));
}

TEST_F(Async, AnExplicitSaveComesAfterTheOneUnderWayAndIsDurable) {
  held_.gate.open();
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  train_to(2);
  EXPECT_EQ(checkpoint.save(2, state_).path, path("run-1_2.h5"));
  EXPECT_EQ(checkpoint.latest(), path("run-1_2.h5"));
  EXPECT_EQ(held_.commits, 2);
  EXPECT_TRUE(std::filesystem::exists(path("run-1_1.h5")));
  expect_newest(checkpoint, 2);
}

TEST_F(Async, EndCompletesWhatIsUnderWayAndSavesTheLastStepOnce) {
  held_.gate.open();
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  train_to(1);
  checkpoint.end(1, state_);
  EXPECT_EQ(held_.commits, 1);
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  train(checkpoint, 2);
  train_to(3);
  checkpoint.end(3, state_);
  EXPECT_EQ(held_.commits, 3);
  expect_newest(checkpoint, 3);
}

TEST_F(Async, RestoreTakesWhatWasUnderWay) {
  held_.gate.open();
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  const auto restored = checkpoint.restore(state_);
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->step, 1U);
  EXPECT_EQ(wrong(1), 0U);
}

TEST_F(Async, DestructionCompletesTheSave) {
  held_.gate.open();
  {
    ModelCheckpoint checkpoint = make_held();
    train(checkpoint, 4);
  }
  EXPECT_EQ(held_.commits, 1);
  expect_restorable(4);
}

TEST_F(Async, UnwindingCompletesTheSave) {
  held_.gate.open();
  try {
    ModelCheckpoint checkpoint = make_held();
    train(checkpoint, 4);
    throw std::runtime_error("training failed on all ranks");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(held_.commits, 1);
  }
  expect_restorable(4);
}

TEST_F(Async, RetentionFollowsEveryCommit) {
  held_.gate.open();
  CheckpointSettings settings = async();
  settings.keep_checkpoint_max = 2;
  ModelCheckpoint checkpoint = make_held(settings);
  for (std::uint64_t step = 1; step <= 6; ++step) train(checkpoint, step);
  EXPECT_TRUE(checkpoint.wait());
  std::vector<std::string> left = names();
  std::erase_if(left, [](const std::string& name) { return name.starts_with("."); });
  EXPECT_EQ(left, (std::vector<std::string>{"run-1_5.h5", "run-1_6.h5"}));
}

TEST_F(Async, NewestIsNeverOneThatRetentionDeleted) {
  held_.gate.open();
  CheckpointSettings settings = async();
  settings.keep_checkpoint_max = 1;
  ModelCheckpoint checkpoint = make_held(settings);
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  train(checkpoint, 2);
  while (is_multiple() && held_.commits < 2) std::this_thread::yield();
  MPI_Barrier(MPI_COMM_WORLD);
  // Durable, but no call has found it so: the newest is still the first, and still there.
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  EXPECT_TRUE(std::filesystem::exists(path("run-1_1.h5")));
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(checkpoint.latest(), path("run-1_2.h5"));
  EXPECT_FALSE(std::filesystem::exists(path("run-1_1.h5")));
}

TEST_F(Async, SecondsTriggerCountsFromTheBeginningOfASave) {
  Time now{std::chrono::hours{1}};
  CheckpointSettings settings = async();
  settings.save_checkpoint_seconds = 10;
  settings.clock = [&now] { return now; };
  ModelCheckpoint checkpoint = make_held(settings);
  EXPECT_EQ(checkpoint.step_end(1, state_), Next::go_on);
  now += std::chrono::seconds{11};
  EXPECT_EQ(checkpoint.step_end(2, state_), Next::go_on);  // rank 0 says "due"
  train(checkpoint, 3);                                 // and all save, held at the gate
  // Were it still due, this would wait for the save that is held.
  for (std::uint64_t step = 4; step < 10; ++step) {
    EXPECT_EQ(checkpoint.step_end(step, state_), Next::go_on);
  }
  EXPECT_EQ(held_.commits, 0);
  held_.gate.open();
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(checkpoint.latest(), path("run-1_3.h5"));
}

TEST_F(Async, PhasesComeInOrder) {
  held_.gate.open();
  ModelCheckpoint checkpoint = make_held();
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(held_.phases,
            (std::vector<Phase>{Phase::planning, Phase::capturing, Phase::reserving, Phase::moving,
                                Phase::syncing, Phase::completing, Phase::publishing,
                                Phase::retaining}));
  EXPECT_EQ(held_.last.step, 1U);
  EXPECT_EQ(held_.last.sequence, 1U);
  EXPECT_GT(held_.last.bytes, 0U);
  for (const Phase phase : {Phase::planning, Phase::capturing, Phase::reserving, Phase::moving,
                            Phase::syncing, Phase::completing, Phase::publishing}) {
    EXPECT_GT(held_.last.seconds[static_cast<std::size_t>(phase)], 0) << to_string(phase);
  }
}

TEST_F(Async, CollectiveBlocksOfMpiIo) {
  CheckpointSettings settings = async();
  settings.write.writer = Writer::mpiio;
  held_.gate.open();
  ModelCheckpoint checkpoint = make_held(settings);
  train_to(1);
  if (!is_multiple()) {
    expect_error([&] { static_cast<void>(checkpoint.step_end(1, state_)); },
                 ErrorCode::invalid_argument, {"async_save", "mpiio", "MPI_THREAD_MULTIPLE"});
    return;
  }
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  expect_newest(checkpoint, 1);
}

TEST_F(Async, SettingsThatContradictEachOtherAreRefused) {
  const auto refuse = [](CheckpointSettings settings, const std::vector<std::string>& words) {
    expect_error([&] { static_cast<void>(CheckpointConfig(std::move(settings))); },
                 ErrorCode::invalid_argument, words);
  };
  refuse({.lazy_capture = true}, {"lazy_capture", "async_save"});
  CheckpointSettings hdf5 = async();
  hdf5.write.writer = Writer::hdf5;
  refuse(hdf5, {"async_save", "hdf5", "direct and mpiio"});
}

}  // namespace
}  // namespace cairn::test
