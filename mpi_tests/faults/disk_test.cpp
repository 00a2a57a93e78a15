// Disks that are full, vanish, or turn read-only while Cairn saves.
#include "faults/disk_world.hpp"

namespace cairn::faults {
namespace {

using test::expect_error;

class FullDisk : public OnEachDisk {};

TEST_P(FullDisk, ASaveThatDoesNotFitFailsBeforeDataMovesAndTheNextOneThatFitsSucceeds) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  AtPhase phases;
  {
    ModelCheckpoint checkpoint = make(shards(), &phases);
    for (const std::uint64_t step : {1, 2}) save(checkpoint, step);
    phases.seen.clear();
    become(4);
    expect_error([&] { checkpoint.save(4, state_); }, ErrorCode::no_space,
                 {"space", place().string()});
    EXPECT_FALSE(phases.seen.contains(Phase::moving));
    EXPECT_EQ(entries(), name(1) + " " + name(2) + " ");
    on_root([this] { fs::remove_all(place() / name(1)); });
    save(checkpoint, 5);
    EXPECT_EQ(entries(), name(2) + " " + name(5) + " ");
  }
  expect_restored(5, shards());
}

TEST_P(FullDisk, AnAsynchronousSaveThatDoesNotFitIsHeardOfByAllAndTheOldOneStays) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  {
    CheckpointSettings in_background = settings(shards());
    in_background.async_save = true;
    ModelCheckpoint checkpoint = make(in_background);
    for (const std::uint64_t step : {1, 2}) save(checkpoint, step);
    become(4);
    expect_error(
        [&] {
          static_cast<void>(checkpoint.step_end(4, state_));
          static_cast<void>(checkpoint.wait());
        },
        ErrorCode::no_space, {"space", place().string()});
    EXPECT_EQ(entries(), name(1) + " " + name(2) + " ");
  }
  expect_restored(2, shards());
}

TEST_P(FullDisk, WhatOthersWriteMeanwhileTakesNothingOfWhatIsReserved) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  AtPhase filler;
  filler.when = Phase::moving;
  {
    ModelCheckpoint checkpoint = make(shards());
    save(checkpoint, 1);
  }
  {
    ModelCheckpoint checkpoint = make(shards(), &filler);
    static_cast<void>(checkpoint.restore(state_));  // which has such a phase, too
    filler.then = [this] { disk_->fill(); };
    // Of shards the index is written last, where there is no room any more.
    if (shards()) {
      become(2);
      expect_error([&] { checkpoint.save(2, state_); }, ErrorCode::no_space, {place().string()});
      EXPECT_EQ(entries(), name(1) + " ");
    } else {
      save(checkpoint, 2);
    }
    EXPECT_TRUE(rank() != 0 || !filler.then);
    on_root([this] {
      fs::remove(path("disk") / "filler");
      fs::remove_all(place() / name(1));
    });
    save(checkpoint, 3);
  }
  expect_restored(3, shards());
}

INSTANTIATE_TEST_SUITE_P(Disk, FullDisk, ::testing::ValuesIn(kEachDisk), name_of);

class FailingDisk : public DiskTest, public ::testing::WithParamInterface<bool> {
 protected:
  /// With CRCs, so that one file, too, is still incomplete when all ranks have synced.
  ModelCheckpoint make_watched(Listener& listener) {
    CheckpointSettings chosen = settings(GetParam(), &listener);
    chosen.crc_check = true;
    return make(chosen);
  }
  static std::string error_of(const std::function<void()>& call) {
    try {
      call();
      return "no error";
    } catch (const Error& error) {
      return error.what();
    }
  }
};

TEST_P(FailingDisk, ThatTurnsReadOnlyInASaveThenAllHearOfItAndTheOldOneIsThereAfterwards) {
  if (!mount(SmallDisk::Type::ext4)) GTEST_SKIP();
  AtPhase breaker;
  for (const Phase when : {Phase::reserving, Phase::moving, Phase::syncing, Phase::completing,
                           Phase::publishing}) {
    SCOPED_TRACE(std::string(to_string(when)));
    {
      ModelCheckpoint checkpoint = make_watched(breaker);
      breaker.when.reset();
      save(checkpoint, 1);
      breaker.when = when;
      bool done = false;
      breaker.then = [&] { done = disk_->turn_read_only(); };
      become(2);
      expect_error([&] { checkpoint.save(2, state_); }, ErrorCode::io, {place().string()});
      EXPECT_TRUE(rank() != 0 || done) << "the kernel cannot be asked for it";
    }
    on_root([this] { disk_->remount(); });
    expect_restored(1, GetParam());
    on_root([this] { fs::remove_all(place()); });
  }
}

TEST_P(FailingDisk, DirectoryThatDisappearsInASaveThenAllHearOfItAndTheOldOneIsThereAfterwards) {
  AtPhase mover;
  const fs::path away = path("away");
  for (const Phase when : {Phase::reserving, Phase::moving, Phase::syncing, Phase::completing,
                           Phase::publishing}) {
    SCOPED_TRACE(std::string(to_string(when)));
    ModelCheckpoint checkpoint = make_watched(mover);
    mover.when.reset();
    save(checkpoint, 1);
    mover.when = when;
    mover.then = [&] { fs::rename(place(), away); };
    become(2);
    // Before anything is reserved the directory is made again.
    const bool is_made_again = when == Phase::reserving;
    if (is_made_again) {
      EXPECT_NO_THROW(checkpoint.save(2, state_));
    } else {
      const std::string error = error_of([&] { checkpoint.save(2, state_); });
      EXPECT_NE(error.find(place().string()), std::string::npos) << error;
      EXPECT_EQ(error, test::share(error)) << "differs from rank 0's";
    }
    on_root([&] {
      fs::remove_all(place());
      fs::rename(away, place());
    });
    save(checkpoint, 3);  // the object goes on
    EXPECT_EQ(checkpoint.latest().value().stem(), "run-1_3");
    on_root([&] { fs::remove_all(place()); });
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, FailingDisk, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& one) {
                           return std::string(one.param ? "shards" : "integrated");
                         });

}  // namespace
}  // namespace cairn::faults
