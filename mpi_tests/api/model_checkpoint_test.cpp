// When it saves, what it keeps, what it restores.
#include <unistd.h>

#include <fstream>

#include "api/world.hpp"

namespace cairn::test {
namespace {

using Names = std::vector<std::string>;

class Checkpointing : public World {
 protected:
  Checkpointing() {
    values_.assign(element_count(slice().extent), 0.0F);
    state_.add("w", std::span(values_), slice()).add("count", count_);
  }

  static Slice slice() { return split({12, 3}, 0, rank(), ranks()); }

  /// The state after `step` steps of training.
  void train_to(std::uint64_t step) {
    std::ranges::fill(values_, static_cast<float>(step));
    count_ = static_cast<std::int64_t>(step);
  }
  void expect_state_of(std::uint64_t step) {
    EXPECT_EQ(values_, std::vector<float>(values_.size(), static_cast<float>(step)));
    EXPECT_EQ(count_, static_cast<std::int64_t>(step));
  }
  void run(ModelCheckpoint& checkpoint, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t step = first; step <= last; ++step) {
      train_to(step);
      EXPECT_EQ(checkpoint.step_end(step, state_), Next::go_on);
    }
  }
  ModelCheckpoint make(CheckpointSettings settings = {}) {
    settings.listener = &listener_;
    return {MPI_COMM_WORLD, "run", directory(), std::move(settings)};
  }
  /// A run of its own that leaves checkpoints of these steps.
  void leave(const std::vector<std::uint64_t>& steps) {
    ModelCheckpoint checkpoint = make();
    for (const std::uint64_t step : steps) {
      train_to(step);
      checkpoint.save(step, state_);
    }
    train_to(0);
  }
  void damage(const std::string& name) {
    on_root([&] {
      std::fstream file(path(name), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(600);
      file.put('\x55').put('\x55');
    });
  }
  /// Without locks of runs that are still there.
  Names checkpoints() const {
    Names all = names();
    std::erase_if(all, [](const std::string& name) { return name.starts_with(".lock-"); });
    return all;
  }

  struct Told : Listener {
    std::vector<std::string> skipped_names;
    std::vector<std::string> deleted_names;
    std::vector<Phase> phases;
    int commits = 0;
    void skipped(const Event& event, std::string_view) override {
      skipped_names.push_back(event.path.filename().string());
    }
    void deleted(const Event& event) override {
      deleted_names.push_back(event.path.filename().string());
    }
    void phase(const Event&, Phase phase) override { phases.push_back(phase); }
    void committed(const Event&) override { ++commits; }
  };

  Told listener_;
  State state_;
  std::vector<float> values_;
  std::int64_t count_ = 0;
};

TEST_F(Checkpointing, EverySecondStepIsSavedAndTheEndOnce) {
  ModelCheckpoint checkpoint = make({.save_checkpoint_steps = 2});
  EXPECT_EQ(checkpoint.latest(), std::nullopt);
  run(checkpoint, 1, 5);
  EXPECT_EQ(checkpoints(), (Names{"run-1_2.h5", "run-1_4.h5"}));
  EXPECT_EQ(checkpoint.latest(), path("run-1_4.h5"));
  checkpoint.end(5, state_);
  checkpoint.end(5, state_);  // saved already
  EXPECT_EQ(checkpoints(), (Names{"run-1_2.h5", "run-1_4.h5", "run-1_5.h5"}));
  EXPECT_EQ(listener_.commits, 3);
}

TEST_F(Checkpointing, ACallbackEveryFewStepsIsDueWhenEnoughPassed) {
  ModelCheckpoint checkpoint = make({.save_checkpoint_steps = 4});
  for (const std::uint64_t step : {3U, 6U, 9U, 12U}) {
    train_to(step);
    static_cast<void>(checkpoint.step_end(step, state_));
  }
  EXPECT_EQ(checkpoints(), (Names{"run-1_12.h5", "run-1_6.h5"}));
}

TEST_F(Checkpointing, PhasesComeInOrder) {
  leave({1});
  EXPECT_EQ(listener_.phases,
            (std::vector<Phase>{Phase::planning, Phase::reserving, Phase::moving, Phase::syncing,
                                Phase::completing, Phase::publishing, Phase::retaining}));
}

TEST_F(Checkpointing, SecondsAreRankZerosAndActOneStepLate) {
  std::int64_t now = 1000;
  CheckpointSettings settings{.save_checkpoint_seconds = 10};
  settings.clock = [&] {
    EXPECT_EQ(rank(), 0) << "only rank 0's clock counts";
    return Time(std::chrono::seconds(now));
  };
  {
    ModelCheckpoint checkpoint = make(std::move(settings));
    for (std::uint64_t step = 1; step <= 6; ++step) {
      if (step == 3) now += 10;  // not *more* than ten seconds
      if (step == 4) now += 1;   // due at 4, so saved at 5
      train_to(step);
      static_cast<void>(checkpoint.step_end(step, state_));
    }
    EXPECT_EQ(checkpoints(), Names{"run-1_5.h5"});
  }
  EXPECT_EQ(checkpoints(), Names{"run-1_5.h5"});
}

TEST_F(Checkpointing, WithoutPeriodicSavesTheEndIsSaved) {
  ModelCheckpoint checkpoint = make({.save_checkpoint_steps = none});
  run(checkpoint, 1, 5);
  EXPECT_EQ(checkpoints(), Names{});
  checkpoint.end(5, state_);
  EXPECT_EQ(checkpoints(), Names{"run-1_5.h5"});
}

TEST_F(Checkpointing, NamesCountEpochs) {
  ModelCheckpoint checkpoint = make({.steps_per_epoch = 3});
  run(checkpoint, 1, 4);
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_2.h5", "run-1_3.h5", "run-2_1.h5"}));
}

TEST_F(Checkpointing, TheOldestGoAfterTheNewIsDurable) {
  ModelCheckpoint checkpoint = make({.keep_checkpoint_max = 2});
  run(checkpoint, 1, 5);
  EXPECT_EQ(checkpoints(), (Names{"run-1_4.h5", "run-1_5.h5"}));
  if (rank() == 0) {
    EXPECT_EQ(listener_.deleted_names, (Names{"run-1_1.h5", "run-1_2.h5", "run-1_3.h5"}));
  }
}

TEST_F(Checkpointing, OnePerNMinutesStaysByStoredTimes) {
  std::int64_t now = 0;
  CheckpointSettings settings{.keep_checkpoint_per_n_minutes = 3};
  settings.clock = [&] { return Time(std::chrono::seconds(now)); };
  ModelCheckpoint checkpoint = make(std::move(settings));
  for (std::uint64_t step = 1; step <= 40; ++step) {
    now = static_cast<std::int64_t>(step) * 30;
    static_cast<void>(checkpoint.step_end(step, state_));
  }
  // The contract's row: 30 210 390 570 750 930 1110 1200 seconds.
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_13.h5", "run-1_19.h5", "run-1_25.h5",
                                  "run-1_31.h5", "run-1_37.h5", "run-1_40.h5", "run-1_7.h5"}));
}

TEST_F(Checkpointing, TheSameStepReplacesItself) {
  ModelCheckpoint checkpoint = make();
  train_to(1);
  checkpoint.save(5, state_);
  train_to(2);
  checkpoint.save(5, state_);
  EXPECT_EQ(checkpoints(), Names{"run-1_5.h5"});
  train_to(0);
  EXPECT_EQ(checkpoint.restore(state_)->sequence, 2U);
  expect_state_of(2);
}

TEST_F(Checkpointing, NothingThereMeansNothingHappens) {
  train_to(77);
  ModelCheckpoint checkpoint = make();
  EXPECT_EQ(checkpoint.restore(state_), std::nullopt);
  expect_state_of(77);
  EXPECT_EQ(names(), Names{});
}

TEST_F(Checkpointing, TheNewestIsRestoredAndItsSeriesContinued) {
  leave({3, 7});
  ModelCheckpoint checkpoint = make({.save_checkpoint_steps = 2, .keep_checkpoint_max = 3});
  const auto restored = checkpoint.restore(state_);
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->path, path("run-1_7.h5"));
  EXPECT_EQ(restored->step, 7U);
  EXPECT_EQ(restored->sequence, 2U);
  EXPECT_EQ(restored->series, "run");
  EXPECT_TRUE(restored->skipped.empty());
  EXPECT_EQ(checkpoint.latest(), path("run-1_7.h5"));
  expect_state_of(7);
  run(checkpoint, 8, 11);  // the last saved step is the restored one: 9 and 11
  EXPECT_EQ(checkpoints(), (Names{"run-1_11.h5", "run-1_7.h5", "run-1_9.h5"}));
}

TEST_F(Checkpointing, NewestIsTheHighestSequenceNotTheHighestStep) {
  leave({3, 7});
  {
    ModelCheckpoint checkpoint = make();
    damage("run-1_7.h5");
    EXPECT_EQ(checkpoint.restore(state_)->step, 3U);
    train_to(4);
    checkpoint.save(4, state_);
  }
  ModelCheckpoint checkpoint = make();
  EXPECT_EQ(checkpoint.restore(state_)->step, 4U);
  expect_state_of(4);
}

TEST_F(Checkpointing, DamageFallsBackAndSaysSo) {
  leave({1, 2, 3});
  damage("run-1_3.h5");
  on_root([&] { std::filesystem::resize_file(path("run-1_2.h5"), 70'000); });
  ModelCheckpoint checkpoint = make();
  const auto restored = checkpoint.restore(state_);
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->step, 1U);
  expect_state_of(1);
  Names skipped;
  for (const Skipped& one : restored->skipped) {
    skipped.push_back(one.path.filename().string());
    EXPECT_FALSE(one.reason.empty());
  }
  // The cut one cannot tell its sequence number: it might have been the newest.
  EXPECT_EQ(skipped, (Names{"run-1_2.h5", "run-1_3.h5"}));
  if (rank() == 0) {
    EXPECT_EQ(listener_.skipped_names, skipped);
  }
}

TEST_F(Checkpointing, NoneGoodIsAnError) {
  leave({1, 2});
  damage("run-1_1.h5");
  damage("run-1_2.h5");
  ModelCheckpoint checkpoint = make();
  expect_error([&] { static_cast<void>(checkpoint.restore(state_)); }, ErrorCode::damaged,
               {"none of them is good", "run-1_1.h5", "run-1_2.h5"});
}

TEST_F(Checkpointing, MismatchIsAnErrorAndNeverAnOlderState) {
  leave({1});
  {
    ModelCheckpoint checkpoint = make();
    static_cast<void>(checkpoint.restore(state_));
    float more = 0;
    State larger = state_;
    larger.add("more", more);
    checkpoint.save(2, larger);
  }
  ModelCheckpoint checkpoint = make();
  expect_error([&] { static_cast<void>(checkpoint.restore(state_)); }, ErrorCode::mismatch,
               {"extra in the file: \"more\""});
}

TEST_F(Checkpointing, ANameThatDoesNotFitIsDamageForRestoreAndNotForLoad) {
  leave({1, 2});
  on_root([&] { std::filesystem::rename(path("run-1_2.h5"), path("run-1_9.h5")); });
  ModelCheckpoint checkpoint = make();
  EXPECT_EQ(checkpoint.restore(state_)->step, 1U);
  EXPECT_EQ(load(MPI_COMM_WORLD, path("run-1_9.h5"), state_).step, 2U);
  expect_state_of(2);
}

TEST_F(Checkpointing, AFreshRunTakesASeriesOfItsOwn) {
  leave({1});
  leave({2});
  leave({3});
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run_1-1_2.h5", "run_2-1_3.h5"}));
  ModelCheckpoint checkpoint = make();
  EXPECT_EQ(checkpoint.restore(state_)->series, "run_2");
}

TEST_F(Checkpointing, TheSeriesThatIsToldIsRestored) {
  leave({1});
  leave({2});
  {
    ModelCheckpoint checkpoint = make();
    EXPECT_EQ(checkpoint.restore(state_, {}, "run")->step, 1U);
    train_to(5);
    checkpoint.save(5, state_);
  }
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_5.h5", "run_1-1_2.h5"}));
  ModelCheckpoint checkpoint = make();
  expect_error([&] { static_cast<void>(checkpoint.restore(state_, {}, "run_7")); },
               ErrorCode::not_found, {"run_7"});
  expect_error([&] { static_cast<void>(checkpoint.restore(state_, {}, "other")); },
               ErrorCode::invalid_argument, {"other"});
}

TEST_F(Checkpointing, RestoreFallsBackWithinItsSeriesOnly) {
  leave({1});
  leave({2});
  damage("run_1-1_2.h5");
  ModelCheckpoint checkpoint = make();
  expect_error([&] { static_cast<void>(checkpoint.restore(state_)); }, ErrorCode::damaged,
               {"run_1-1_2.h5"});
}

TEST_F(Checkpointing, ASecondJobOnASeriesIsRefusedNamingTheFirst) {
  leave({1});
  ModelCheckpoint first = make();
  static_cast<void>(first.restore(state_));
  ModelCheckpoint second = make();
  const std::string process = share(std::to_string(::getpid()));
  expect_error([&] { static_cast<void>(second.restore(state_)); }, ErrorCode::invalid_argument,
               {"\"run\"", "in use", "host", "process " + process});
}

TEST_F(Checkpointing, TheOneRestoredFromStaysUntilANewerIsCommitted) {
  leave({1, 2, 3});
  ModelCheckpoint checkpoint = make({.keep_checkpoint_max = 1});
  damage("run-1_3.h5");
  EXPECT_EQ(checkpoint.restore(state_)->step, 2U);
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_2.h5", "run-1_3.h5"}));
  train_to(4);
  checkpoint.save(4, state_);
  EXPECT_EQ(checkpoints().back(), "run-1_4.h5");
}

TEST_F(Checkpointing, WhatALoadFoundDamagedNeverDisplacesAGoodOne) {
  leave({1, 2});
  damage("run-1_2.h5");  // its record is whole: only a load finds out
  ModelCheckpoint checkpoint = make({.keep_checkpoint_max = 2});
  EXPECT_EQ(checkpoint.restore(state_)->step, 1U);
  train_to(3);
  checkpoint.save(3, state_);
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_2.h5", "run-1_3.h5"}));
}

TEST_F(Checkpointing, ARunThatHasASeriesDoesNotRestoreAnother) {
  leave({1});
  leave({2});
  ModelCheckpoint checkpoint = make();
  EXPECT_EQ(checkpoint.restore(state_)->series, "run_1");
  expect_error([&] { static_cast<void>(checkpoint.restore(state_, {}, "run")); },
               ErrorCode::invalid_argument, {"\"run\"", "uses another already"});
}

TEST_F(Checkpointing, AFailedSaveLeavesTheOldAndTheNextSucceeds) {
  ModelCheckpoint checkpoint = make();
  train_to(1);
  checkpoint.save(1, state_);
  bool broken = true;
  State state = state_;
  state.add("device", slice(),
            Source::callbacks(DType::float32, [&](std::uint64_t, std::uint64_t n, std::byte* out) {
              if (broken && rank() == ranks() - 1) throw std::runtime_error("lost");
              std::fill_n(out, n * 4, std::byte{1});
            }));
  expect_error([&] { checkpoint.save(2, state); }, ErrorCode::io, {"lost"});
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  EXPECT_EQ(checkpoints(), Names{"run-1_1.h5"});
  broken = false;
  checkpoint.save(2, state);
  EXPECT_EQ(checkpoints(), (Names{"run-1_1.h5", "run-1_2.h5"}));
}

TEST_F(Checkpointing, DirectoryAndPrefixMayBeFunctionsOfTheStep) {
  const Directory by_step(directory(), [](std::uint64_t step) {
    return std::filesystem::path("part" + std::to_string(step / 10));
  });
  const Prefix changing(std::function([](std::uint64_t step) -> std::string {
    return step < 10 ? "early" : "late";
  }));
  for (int round = 0; round < 2; ++round) {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, changing, by_step, {.keep_checkpoint_max = 3});
    const auto restored = checkpoint.restore(state_);
    EXPECT_EQ(restored.has_value(), round == 1);
    if (restored) {
      EXPECT_EQ(restored->path, path("part1") / "late-1_11.h5");
    }
    const std::uint64_t first = round == 0 ? 8 : 12;
    run(checkpoint, first, first + 3);
  }
  EXPECT_EQ(checkpoints(), (Names{".cairn-catalog", "part0", "part1"}));
  on_root([&] {
    EXPECT_TRUE(std::filesystem::is_empty(path("part0"))) << "retention goes over all directories";
    EXPECT_TRUE(std::filesystem::exists(path("part1") / "late-1_15.h5"));
  });
}

TEST_F(Checkpointing, SettingsGivenAsConfigAreReadBack) {
  const CheckpointConfig config({.save_checkpoint_steps = 16, .keep_checkpoint_max = 0});
  const ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), config);
  EXPECT_EQ(checkpoint.config().save_checkpoint_steps(), Count(16));
  EXPECT_EQ(names(), Names{}) << "construction touches no disk";
}

TEST_F(Checkpointing, ClockThatFailsThenAllRanksHearOfItOneStepLate) {
  bool fails = false;
  CheckpointSettings settings{.save_checkpoint_seconds = 10};
  settings.clock = [&fails]() -> Time {
    if (fails) throw std::runtime_error("no time");
    return Time{std::chrono::hours{1}};
  };
  ModelCheckpoint checkpoint = make(settings);
  run(checkpoint, 1, 2);
  fails = true;
  run(checkpoint, 3, 3);
  fails = false;
  expect_error([&] { static_cast<void>(checkpoint.step_end(4, state_)); }, ErrorCode::io,
               {"no time"});
  run(checkpoint, 5, 6);  // and that was it
}

TEST_F(Checkpointing, SaveAfterTheClockSaidDueThenTheNextStepDoesNotSaveAgain) {
  Time now{std::chrono::hours{1}};
  CheckpointSettings settings{.save_checkpoint_seconds = 10};
  settings.clock = [&now] { return now; };
  ModelCheckpoint checkpoint = make(settings);
  now += std::chrono::seconds{11};
  run(checkpoint, 1, 1);  // rank 0 says "due"
  checkpoint.save(1, state_);
  run(checkpoint, 2, 4);
  EXPECT_EQ(listener_.commits, 1);
  now += std::chrono::seconds{11};
  run(checkpoint, 5, 6);
  EXPECT_EQ(listener_.commits, 2);
}

}  // namespace
}  // namespace cairn::test
