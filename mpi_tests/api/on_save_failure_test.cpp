// What a save that fails does to training: on_save_failure, and what the run does afterwards.
#include <gmock/gmock.h>

#include <csignal>
#include <stdexcept>

#include "api/leaving.hpp"

namespace cairn::test {
namespace {

class OnFailure : public Leaving {
 protected:
  CheckpointSettings after_failure(OnSaveFailure what) {
    CheckpointSettings settings{.save_checkpoint_steps = 2, .keep_checkpoint_max = 10};
    settings.on_save_failure = what;
    settings.listener = &witness_;
    return settings;
  }
};

TEST_F(OnFailure, FailThenTheStepThrowsAndTheNextSaves) {
  ModelCheckpoint checkpoint = make(after_failure(OnSaveFailure::fail));
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  spoil_directory();
  expect_error([&] { static_cast<void>(step(checkpoint, 2)); }, ErrorCode::io, {});
  mend_directory();
  EXPECT_EQ(step(checkpoint, 3), Next::go_on);
  expect_newest(checkpoint, 3);
}

TEST_F(OnFailure, SkipThenTrainingGoesOnAndTheNextTriggerSaves) {
  for (const bool asynchronous : {false, true}) {
    CheckpointSettings settings = after_failure(OnSaveFailure::skip);
    settings.async_save = asynchronous;
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, asynchronous ? "async" : "sync", directory(),
                               settings);
    witness_.failures = 0;
    EXPECT_EQ(step(checkpoint, 1), Next::go_on);
    spoil_directory();
    for (std::uint64_t n = 2; n <= 3; ++n) EXPECT_EQ(step(checkpoint, n), Next::go_on);
    EXPECT_EQ(witness_.failures, 1) << "not tried again before the next trigger";
    EXPECT_FALSE(checkpoint.latest().has_value());
    mend_directory();
    EXPECT_EQ(step(checkpoint, 4), Next::go_on);
    EXPECT_TRUE(checkpoint.wait());
    expect_newest(checkpoint, 4);
  }
}

TEST_F(OnFailure, SkipFromTheFirstStepOnThenTrainingGoesOn) {
  CheckpointSettings settings = after_failure(OnSaveFailure::skip);
  settings.exception_save = true;
  ModelCheckpoint checkpoint = make(settings);
  spoil_directory();
  for (std::uint64_t n = 1; n <= 3; ++n) EXPECT_EQ(step(checkpoint, n), Next::go_on);
  mend_directory();
  EXPECT_EQ(step(checkpoint, 4), Next::go_on);
  expect_newest(checkpoint, 4);
}

TEST_F(OnFailure, SkipAndTheClockThrowsThenAllRanksHearOfIt) {
  CheckpointSettings settings = after_failure(OnSaveFailure::skip);
  int answers = 10;
  settings.clock = [&] {
    if (answers-- == 0) throw std::runtime_error("no time server");
    return Time{};
  };
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  checkpoint.save(1, state_);
  EXPECT_EQ(step(checkpoint, 2), Next::go_on);
  spoil_directory();
  answers = 1;  // of the save that fails, not of what is noted then
  expect_error([&] { static_cast<void>(step(checkpoint, 3)); }, ErrorCode::io,
               {"no time server"});
  mend_directory();
  answers = 10;
  EXPECT_EQ(step(checkpoint, 4), Next::go_on) << "step 3 was passed over";
  EXPECT_EQ(step(checkpoint, 5), Next::go_on);
  expect_newest(checkpoint, 5);
}

TEST_F(OnFailure, SavesThatKeepFailingThenAStopIsHeardAllTheSame) {
  CheckpointSettings settings = after_failure(OnSaveFailure::fail);
  settings.save_checkpoint_steps = 1;
  settings.exception_save = true;
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  spoil_directory();
  expect_error([&] { static_cast<void>(step(checkpoint, 2)); }, ErrorCode::io, {});
  if (rank() == ranks() - 1) std::raise(SIGUSR1);
  expect_error([&] { static_cast<void>(step(checkpoint, 3)); }, ErrorCode::io, {});
  mend_directory();
  EXPECT_EQ(step(checkpoint, 4), Next::stop) << "the vote of step 3 said so";
  expect_newest(checkpoint, 4);
}

}  // namespace
}  // namespace cairn::test
