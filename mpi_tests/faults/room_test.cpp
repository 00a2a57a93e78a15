// on_save_failure on disks that are full.
#include "faults/disk_world.hpp"

namespace cairn::faults {
namespace {

using test::expect_error;

struct Witness : Listener {
  int failures = 0;
  std::set<ErrorCode> codes;
  void failed(const Event&, const Error& error) override {
    ++failures;
    codes.insert(error.code());
  }
};

class OnFullDisk : public OnEachDisk {
 protected:
  CheckpointSettings with(OnSaveFailure what, bool in_background) {
    CheckpointSettings chosen = settings(shards(), &witness_);
    chosen.on_save_failure = what;
    chosen.async_save = in_background;
    return chosen;
  }
  /// A step of training; on return its save has ended.
  void step(ModelCheckpoint& checkpoint, std::uint64_t step) {
    become(step);
    EXPECT_EQ(checkpoint.step_end(step, state_), Next::go_on);
    EXPECT_TRUE(checkpoint.wait());
  }

  Witness witness_;
};

TEST_P(OnFullDisk, SkipThenTrainingGoesOnAndTheNextStepThatFitsIsSaved) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  for (const bool in_background : {false, true}) {
    witness_ = {};
    {
      ModelCheckpoint checkpoint = make(with(OnSaveFailure::skip, in_background));
      for (const std::uint64_t n : {1, 2, 3}) step(checkpoint, n);
      EXPECT_EQ(witness_.failures, 1);
      EXPECT_EQ(witness_.codes, std::set{ErrorCode::no_space});
      EXPECT_EQ(entries(), name(1) + " " + name(2) + " ");
      on_root([this] { fs::remove_all(place() / name(1)); });
      step(checkpoint, 4);
      EXPECT_EQ(entries(), name(2) + " " + name(4) + " ");
    }
    expect_restored(4, shards());
    on_root([this] { fs::remove_all(place()); });
  }
}

TEST_P(OnFullDisk, MakeRoomThenTheOldestGoesAndEveryStepIsSaved) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  for (const bool in_background : {false, true}) {
    {
      ModelCheckpoint checkpoint = make(with(OnSaveFailure::make_room, in_background));
      for (const std::uint64_t n : {1, 2, 3, 4, 5}) step(checkpoint, n);
      EXPECT_EQ(entries(), name(4) + " " + name(5) + " ");
      EXPECT_EQ(checkpoint.latest().value().filename().string(), name(5));
    }
    expect_restored(5, shards());
    on_root([this] { fs::remove_all(place()); });
  }
}

TEST_P(OnFullDisk, MakeRoomWhereOnlyTheNewestGoodOneIsLeftThenItStaysAndAllHearOfIt) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  for (const bool in_background : {false, true}) {
    {
      ModelCheckpoint checkpoint = make(with(OnSaveFailure::make_room, in_background));
      step(checkpoint, 1);
      on_root([this] { disk_->fill(); });
      become(2);
      expect_error(
          [&] {
            static_cast<void>(checkpoint.step_end(2, state_));
            static_cast<void>(checkpoint.wait());
          },
          ErrorCode::no_space, {"space", place().string()});
      EXPECT_EQ(entries(), name(1) + " ");
      on_root([this] { fs::remove(path("disk") / "filler"); });
      step(checkpoint, 3);
    }
    expect_restored(3, shards());
    on_root([this] { fs::remove_all(place()); });
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, OnFullDisk, ::testing::ValuesIn(kEachDisk), name_of);

class OnVanishedDirectory : public DiskTest, public ::testing::WithParamInterface<bool> {};

TEST_P(OnVanishedDirectory, SkipThenTrainingGoesOnWheneverItVanishes) {
  const fs::path away = path("away");
  for (const Phase when : {Phase::moving, Phase::syncing, Phase::completing, Phase::publishing}) {
    SCOPED_TRACE(std::string(to_string(when)));
    AtPhase mover;
    CheckpointSettings chosen = settings(GetParam(), &mover);
    chosen.on_save_failure = OnSaveFailure::skip;
    {
      ModelCheckpoint checkpoint = make(chosen);
      save(checkpoint, 1);
      mover.when = when;
      mover.then = [&] { fs::rename(place(), away); };
      become(2);
      EXPECT_EQ(checkpoint.step_end(2, state_), Next::go_on);
      on_root([&] {
        fs::remove_all(place());
        fs::rename(away, place());
      });
      become(3);
      EXPECT_EQ(checkpoint.step_end(3, state_), Next::go_on);
    }
    expect_restored(3, GetParam());
    on_root([this] { fs::remove_all(place()); });
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, OnVanishedDirectory, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& one) {
                           return std::string(one.param ? "shards" : "integrated");
                         });

}  // namespace
}  // namespace cairn::faults
