#include "policy/resolution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "cairn/error.hpp"

namespace cairn {

// For GoogleTest's messages.
static void PrintTo(const CheckpointPolicy& policy, std::ostream* out) {
  *out << to_string(policy.save_checkpoint_steps) << ", "
       << to_string(policy.save_checkpoint_seconds) << ", " << to_string(policy.keep_checkpoint_max)
       << ", " << to_string(policy.keep_checkpoint_per_n_minutes);
}

namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr Count unset;

/// Steps, seconds, max, per n minutes: the order of the contract's table.
CheckpointSettings given(Count steps, Count secs, Count max, Count per_n) {
  return {.save_checkpoint_steps = steps,
          .save_checkpoint_seconds = secs,
          .keep_checkpoint_max = max,
          .keep_checkpoint_per_n_minutes = per_n};
}

CheckpointPolicy policy_of(Count steps, Count secs, Count max, Count per_n) {
  return CheckpointConfig(given(steps, secs, max, per_n)).get_checkpoint_policy();
}

/// The message of the error that making a config throws; "" where it throws none.
std::string refusal(const CheckpointSettings& settings) {
  try {
    const CheckpointConfig config(settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "";
}

bool accepts_block_bytes(std::size_t bytes) {
  return refusal({.write = {.block_bytes = bytes}}).empty();
}

// The rows of the contract's table, in its order.

TEST(Resolution, NothingGivenThenEveryStepAndFiveKept) {
  EXPECT_EQ(policy_of(unset, unset, unset, unset), (CheckpointPolicy{1, none, 5, none}));
  EXPECT_EQ(CheckpointConfig({}).get_checkpoint_policy(), (CheckpointPolicy{1, none, 5, none}));
}

TEST(Resolution, StepsAndSecondsGivenThenSecondsAreNone) {
  EXPECT_EQ(policy_of(16, 100, 0, 1), (CheckpointPolicy{16, none, 0, 1}));
}

TEST(Resolution, StepsZeroAndSecondsGivenThenSecondsStay) {
  EXPECT_EQ(policy_of(0, 30, 0, 3), (CheckpointPolicy{0, 30, 0, 3}));
}

TEST(Resolution, StepsNoneAndSecondsGivenThenStepsAreReadBackAsNone) {
  EXPECT_EQ(policy_of(none, 30, 0, 3), (CheckpointPolicy{none, 30, 0, 3}));
}

TEST(Resolution, KeepingZeroBothWaysThenTheNewestIsKeptAndZeroIsReadBack) {
  EXPECT_EQ(policy_of(5, 0, 0, 0), (CheckpointPolicy{5, none, 1, 0}));
}

TEST(Resolution, KeepingNoneBothWaysThenTheNewestIsKeptAndNoneIsReadBack) {
  EXPECT_EQ(policy_of(5, none, none, none), (CheckpointPolicy{5, none, 1, none}));
}

TEST(Resolution, MaxAndPerMinutesGivenThenPerMinutesAreNone) {
  EXPECT_EQ(policy_of(0, 30, 5, 3), (CheckpointPolicy{0, 30, 5, none}));
}

TEST(Resolution, StepsAndSecondsZeroWithMaxThenNoPeriodicSaves) {
  EXPECT_EQ(policy_of(0, 0, 5, 0), (CheckpointPolicy{0, 0, 5, none}));
}

TEST(Resolution, OnlySecondsGivenThenTheyAreNotBeatenByTheDefaultOfSteps) {
  EXPECT_EQ(policy_of(unset, 30, unset, unset), (CheckpointPolicy{none, 30, 5, none}));
}

TEST(Resolution, OnlyPerMinutesGivenThenTheyAreNotBeatenByTheDefaultOfMax) {
  EXPECT_EQ(policy_of(unset, unset, unset, 3), (CheckpointPolicy{1, none, none, 3}));
}

TEST(Resolution, OnlyStepsZeroGivenThenNoPeriodicSaves) {
  EXPECT_EQ(policy_of(0, unset, unset, unset), (CheckpointPolicy{0, none, 5, none}));
}

TEST(Resolution, OnlyMaxZeroGivenThenTheNewestIsKept) {
  EXPECT_EQ(policy_of(unset, unset, 0, unset), (CheckpointPolicy{1, none, 1, none}));
}

TEST(Resolution, StepsAndSecondsZeroWithNothingElseThenNoPeriodicSaves) {
  EXPECT_EQ(policy_of(0, 0, unset, unset), (CheckpointPolicy{0, 0, 5, none}));
}

TEST(Resolution, AllFourZeroThenAnErrorThatNamesThemAll) {
  EXPECT_THAT(refusal(given(0, 0, 0, 0)),
              AllOf(HasSubstr("save_checkpoint_steps"), HasSubstr("save_checkpoint_seconds"),
                    HasSubstr("keep_checkpoint_max"), HasSubstr("keep_checkpoint_per_n_minutes"),
                    HasSubstr("are 0, 0, 0 and 0"), HasSubstr("at least one number above 0")));
}

TEST(Resolution, AllFourZeroOrNoneThenAnErrorThatSaysWhichIsWhich) {
  EXPECT_THAT(refusal(given(0, none, 0, none)), HasSubstr("are 0, none, 0 and none"));
  EXPECT_THAT(refusal(given(none, none, none, none)), HasSubstr("are none, none, none and none"));
}

// What the rules say beyond the table.

TEST(Resolution, ThreeZeroAndOneUnsetThenNoError) {
  EXPECT_EQ(policy_of(unset, 0, 0, 0), (CheckpointPolicy{1, none, 1, 0}));
  EXPECT_EQ(policy_of(0, unset, 0, 0), (CheckpointPolicy{0, none, 1, 0}));
  EXPECT_EQ(policy_of(0, 0, unset, 0), (CheckpointPolicy{0, 0, 5, none}));
  EXPECT_EQ(policy_of(0, 0, 0, unset), (CheckpointPolicy{0, 0, 1, none}));
}

TEST(Resolution, SecondsZeroAndStepsUnsetThenEveryStep) {
  EXPECT_EQ(policy_of(unset, 0, unset, unset), (CheckpointPolicy{1, none, 5, none}));
  EXPECT_EQ(policy_of(unset, none, unset, unset), (CheckpointPolicy{1, none, 5, none}));
}

TEST(Resolution, StepsNoneAndSecondsUnsetThenNoPeriodicSaves) {
  EXPECT_EQ(policy_of(none, unset, unset, unset), (CheckpointPolicy{none, none, 5, none}));
}

TEST(Resolution, PerMinutesZeroAndMaxUnsetThenFiveKept) {
  EXPECT_EQ(policy_of(unset, unset, unset, 0), (CheckpointPolicy{1, none, 5, none}));
}

TEST(Resolution, MaxNoneAndPerMinutesGivenThenMaxIsReadBackAsNone) {
  EXPECT_EQ(policy_of(unset, unset, none, 3), (CheckpointPolicy{1, none, none, 3}));
}

TEST(Resolution, MaxNoneAndPerMinutesUnsetThenTheNewestIsKept) {
  EXPECT_EQ(policy_of(unset, unset, none, unset), (CheckpointPolicy{1, none, 1, none}));
}

TEST(Resolution, LargestNumbersThenTheyAreTaken) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(policy_of(most, unset, most, unset), (CheckpointPolicy{most, none, most, none}));
  EXPECT_EQ(policy_of(unset, most, unset, most), (CheckpointPolicy{none, most, none, most}));
}

/// Every way to fill the four counts from unset, none, 0 and two numbers.
std::vector<CheckpointSettings> all_settings() {
  const std::vector<Count> counts{unset, none, 0, 1, 7};
  std::vector<CheckpointSettings> all;
  for (std::size_t i = 0; i < 625; ++i) {
    all.push_back(given(counts[i % 5], counts[i / 5 % 5], counts[i / 25 % 5], counts[i / 125]));
  }
  return all;
}

TEST(Resolution, AnySettingsThenOnlyThoseThatTurnAllOffAreRefused) {
  int refused = 0;
  for (const CheckpointSettings& settings : all_settings()) refused += !refusal(settings).empty();
  EXPECT_EQ(refused, 16);
}

TEST(Resolution, AnySettingsThenNothingIsReadBackAsUnset) {
  for (const CheckpointSettings& settings : all_settings()) {
    if (!refusal(settings).empty()) continue;
    const CheckpointConfig config(settings);
    EXPECT_FALSE(config.save_checkpoint_steps().is_unset());
    EXPECT_FALSE(config.save_checkpoint_seconds().is_unset());
    EXPECT_FALSE(config.keep_checkpoint_max().is_unset());
    EXPECT_FALSE(config.keep_checkpoint_per_n_minutes().is_unset());
  }
}

TEST(Resolution, AnySettingsReadBackAndGivenAgainThenTheyMeanTheSame) {
  for (const CheckpointSettings& settings : all_settings()) {
    if (!refusal(settings).empty()) continue;
    const CheckpointConfig once(settings);
    const CheckpointConfig twice(once.settings());
    EXPECT_EQ(once.save_checkpoint_steps(), twice.save_checkpoint_steps());
    EXPECT_EQ(once.save_checkpoint_seconds(), twice.save_checkpoint_seconds());
    EXPECT_EQ(once.keep_checkpoint_max(), twice.keep_checkpoint_max());
    EXPECT_EQ(once.keep_checkpoint_per_n_minutes().value(),
              twice.keep_checkpoint_per_n_minutes().value());
  }
}

// Errors.

TEST(Resolution, NegativeStepsThenAnErrorThatNamesThem) {
  EXPECT_EQ(refusal(given(-1, unset, unset, unset)),
            "save_checkpoint_steps is -1; it takes none or an integer that is not negative; none "
            "and 0 turn it off");
}

TEST(Resolution, NegativeSecondsThenAnErrorThatNamesThem) {
  EXPECT_THAT(refusal(given(unset, -30, unset, unset)),
              HasSubstr("save_checkpoint_seconds is -30; it takes none or an integer"));
}

TEST(Resolution, NegativeMaxThenAnErrorThatNamesIt) {
  EXPECT_THAT(refusal(given(unset, unset, -5, unset)),
              HasSubstr("keep_checkpoint_max is -5; it takes none or an integer"));
}

TEST(Resolution, NegativePerMinutesThenAnErrorThatNamesThem) {
  EXPECT_THAT(
      refusal(given(unset, unset, unset, std::numeric_limits<std::int64_t>::min())),
      HasSubstr("keep_checkpoint_per_n_minutes is -9223372036854775808; it takes none or an"));
}

TEST(Resolution, NegativeSettingThatWouldBeIgnoredThenStillAnError) {
  EXPECT_THAT(refusal(given(5, -30, unset, unset)), HasSubstr("save_checkpoint_seconds is -30"));
  EXPECT_THAT(refusal(given(unset, unset, 5, -3)),
              HasSubstr("keep_checkpoint_per_n_minutes is -3"));
}

TEST(Resolution, BlockBytesNotAPowerOfTwoThenAnError) {
  EXPECT_EQ(refusal({.write = {.block_bytes = 5'000'000}}),
            "block_bytes is 5000000; it takes a power of two from 65536 (64 KiB) to 1073741824 (1 "
            "GiB)");
}

TEST(Resolution, BlockBytesOutsideTheRangeThenAnError) {
  EXPECT_FALSE(accepts_block_bytes(0));
  EXPECT_FALSE(accepts_block_bytes(32768));
  EXPECT_TRUE(accepts_block_bytes(65536));
  EXPECT_TRUE(accepts_block_bytes(1073741824));
  EXPECT_FALSE(accepts_block_bytes(2147483648));
}

TEST(Resolution, DeadlineNotPositiveThenAnError) {
  EXPECT_EQ(refusal({.write = {.deadline = seconds{0}}}),
            "deadline is 0 seconds; it takes 1 to 3153600000 seconds");
  EXPECT_THAT(refusal({.write = {.deadline = seconds{-1}}}), HasSubstr("deadline is -1 seconds"));
  EXPECT_EQ(refusal({.write = {.deadline = seconds{1}}}), "");
}

TEST(Resolution, DeadlineThatOverflowsAClockThenAnError) {
  EXPECT_THAT(refusal({.write = {.deadline = seconds::max()}}), HasSubstr("deadline is "));
  EXPECT_EQ(refusal({.write = {.deadline = seconds{3153600000}}}), "");
}

TEST(Resolution, StaleAfterNegativeThenAnError) {
  EXPECT_EQ(refusal({.stale_after = hours{-1}}),
            "stale_after is -1 hours; it takes 0 to 876000 hours");
  EXPECT_EQ(refusal({.stale_after = hours{0}}), "");
  EXPECT_THAT(refusal({.stale_after = hours::max()}), HasSubstr("stale_after is "));
}

// Reading back.

TEST(CheckpointConfig, MadeThenTheFourCountsAreReadBackResolvedAndTheRestAsGiven) {
  CheckpointSettings settings = given(unset, 30, unset, 3);
  settings.steps_per_epoch = 12;
  settings.stale_after = hours{5};
  settings.write.durable = false;
  const CheckpointConfig config(settings);
  EXPECT_EQ(config.save_checkpoint_steps(), Count(none));
  EXPECT_EQ(config.save_checkpoint_seconds(), Count(30));
  EXPECT_EQ(config.keep_checkpoint_max(), Count(none));
  EXPECT_EQ(config.keep_checkpoint_per_n_minutes(), Count(3));
  EXPECT_EQ(config.settings().save_checkpoint_steps, Count(none));
  EXPECT_EQ(config.settings().keep_checkpoint_max, Count(none));
  EXPECT_EQ(config.steps_per_epoch(), 12U);
  EXPECT_EQ(config.settings().stale_after, hours{5});
  EXPECT_FALSE(config.settings().write.durable);
}

TEST(Count, WrittenOutThenUnsetNoneAndNumbersDiffer) {
  EXPECT_EQ(to_string(Count{}), "unset");
  EXPECT_EQ(to_string(Count(none)), "none");
  EXPECT_EQ(to_string(Count(0)), "0");
  EXPECT_EQ(to_string(Count(-7)), "-7");
}

}  // namespace
}  // namespace cairn
