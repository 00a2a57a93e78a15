#include "policy/trigger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <vector>

namespace cairn::policy {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr std::uint64_t kLastStep = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr Time kStart{seconds{1'700'000'000}};

CheckpointPolicy every_steps(Count n) {
  return {n, none, 5, none};
}
CheckpointPolicy every_seconds(Count n) {
  return {none, n, 5, none};
}

/// The steps saved by a program that asks at every `stride`th step up to `last`.
std::vector<std::uint64_t> saved_steps(Count steps, std::uint64_t stride, std::uint64_t last) {
  std::vector<std::uint64_t> saved;
  std::uint64_t last_saved = 0;
  for (std::uint64_t step = stride; step <= last; step += stride) {
    if (!steps_due(every_steps(steps), step, last_saved)) continue;
    saved.push_back(step);
    last_saved = step;
  }
  return saved;
}

TEST(StepTrigger, EveryStepAskedThenEveryNthIsSaved) {
  EXPECT_THAT(saved_steps(1, 1, 4), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(saved_steps(3, 1, 10), ElementsAre(3, 6, 9));
}

TEST(StepTrigger, AskedEveryKthStepThenNotOnlyCommonMultiplesAreSaved) {
  EXPECT_THAT(saved_steps(5, 3, 24), ElementsAre(6, 12, 18, 24));
  EXPECT_THAT(saved_steps(5, 7, 21), ElementsAre(7, 14, 21));
}

TEST(StepTrigger, ExplicitSaveInBetweenThenTheCountStartsThere) {
  EXPECT_FALSE(steps_due(every_steps(10), 10, 4));
  EXPECT_FALSE(steps_due(every_steps(10), 13, 4));
  EXPECT_TRUE(steps_due(every_steps(10), 14, 4));
}

TEST(StepTrigger, SavedStepAskedAgainOrAnEarlierOneThenNotDue) {
  EXPECT_FALSE(steps_due(every_steps(1), 7, 7));
  EXPECT_FALSE(steps_due(every_steps(1), 6, 7));
  EXPECT_FALSE(steps_due(every_steps(1), 0, 0));
}

TEST(StepTrigger, TurnedOffThenNeverDue) {
  EXPECT_FALSE(steps_due(every_steps(0), 1000, 0));
  EXPECT_FALSE(steps_due(every_steps(none), 1000, 0));
}

TEST(StepTrigger, LargestNumbersThenNoOverflow) {
  EXPECT_TRUE(steps_due(every_steps(1), kLastStep, kLastStep - 1));
  EXPECT_FALSE(steps_due(every_steps(2), kLastStep, kLastStep - 1));
  EXPECT_FALSE(steps_due(every_steps(kMost), kLastStep, kLastStep - 5));
  EXPECT_TRUE(steps_due(every_steps(kMost), kLastStep, 0));
}

TEST(SecondsTrigger, ExactlyThatManySecondsPassedThenNotDue) {
  EXPECT_FALSE(seconds_due(every_seconds(30), kStart + seconds{30}, kStart));
}

TEST(SecondsTrigger, MoreThanThatManySecondsPassedThenDue) {
  EXPECT_TRUE(seconds_due(every_seconds(30), kStart + seconds{30} + nanoseconds{1}, kStart));
  EXPECT_TRUE(seconds_due(every_seconds(30), kStart + seconds{31}, kStart));
  EXPECT_TRUE(seconds_due(every_seconds(30), kStart + seconds{3000}, kStart));
}

TEST(SecondsTrigger, FewerSecondsPassedThenNotDue) {
  EXPECT_FALSE(seconds_due(every_seconds(30), kStart + seconds{29}, kStart));
  EXPECT_FALSE(seconds_due(every_seconds(30), kStart + seconds{30} - nanoseconds{1}, kStart));
  EXPECT_FALSE(seconds_due(every_seconds(30), kStart, kStart));
}

TEST(SecondsTrigger, ClockWentBackThenNotDue) {
  EXPECT_FALSE(seconds_due(every_seconds(30), kStart - seconds{31}, kStart));
}

TEST(SecondsTrigger, TurnedOffThenNeverDue) {
  EXPECT_FALSE(seconds_due(every_seconds(0), kStart + seconds{1000}, kStart));
  EXPECT_FALSE(seconds_due(every_seconds(none), kStart + seconds{1000}, kStart));
}

TEST(SecondsTrigger, LargestNumbersThenNoOverflow) {
  EXPECT_FALSE(seconds_due(every_seconds(kMost), Time::max(), Time::min()));
  EXPECT_TRUE(seconds_due(every_seconds(1), Time::max(), Time::min()));
  // 2^64 - 1 nanoseconds lie between the two.
  EXPECT_TRUE(seconds_due(every_seconds(18'446'744'073), Time::max(), Time::min()));
  EXPECT_FALSE(seconds_due(every_seconds(18'446'744'074), Time::max(), Time::min()));
}

TEST(Reduction, StepsAloneNeedNone) {
  EXPECT_FALSE(needs_reduction({.save_checkpoint_steps = 16, .save_checkpoint_seconds = none}));
  EXPECT_FALSE(needs_reduction({.save_checkpoint_steps = 0, .save_checkpoint_seconds = 0}));
}

TEST(Reduction, ClocksAndSignalsNeedIt) {
  EXPECT_TRUE(needs_reduction({.save_checkpoint_steps = none, .save_checkpoint_seconds = 30}));
  EXPECT_TRUE(needs_reduction({.save_checkpoint_steps = 16, .exception_save = true}));
  EXPECT_TRUE(needs_reduction({.save_checkpoint_steps = 16, .stop_before = kStart}));
}

}  // namespace
}  // namespace cairn::policy
