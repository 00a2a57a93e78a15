#include "policy/time_limit.hpp"

#include <gtest/gtest.h>

namespace cairn::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds{1'700'000'000}};

TEST(TimeLimit, NoMomentThenNeverStop) {
  const TimeLimit limit(std::nullopt, kStart);
  EXPECT_FALSE(limit.must_stop(Time::max(), 1));
}

TEST(TimeLimit, PastMomentThenStopAtOnce) {
  EXPECT_TRUE(TimeLimit(kStart, kStart).must_stop(kStart, 0));
  EXPECT_TRUE(TimeLimit(kStart - seconds{5}, kStart).must_stop(kStart, 0));
}

TEST(TimeLimit, SavesOfTenSecondsThenFifteenAndASecondAreKeptForOne) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_save(seconds{2});  // the longest counts
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 17}, 0));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 16}, 0));
}

TEST(TimeLimit, SaveUnderWayThenItIsWaitedForToo) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 32}, 1));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 31}, 1));
}

TEST(TimeLimit, SaveUnderWayAndOneDueNextThenBothAreWaitedFor) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 47}, 2));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 46}, 2));
}

TEST(TimeLimit, AnswersActAStepLateSoTwoStepsAreKept) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_step(seconds{30});
  limit.saw_step(seconds{20});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 77}, 0));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 76}, 0));
}

TEST(TimeLimit, LongStepLongAgoIsForgotten) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_step(seconds{300});
  for (int i = 0; i < 8; ++i) limit.saw_step(milliseconds{500});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 18}, 0));
}

TEST(TimeLimit, SaveThatWasNeverSeenIsTakenToNeedAMinuteOrATenthOfTheTimeLeft) {
  const TimeLimit hour(kStart + seconds{3600}, kStart);
  EXPECT_FALSE(hour.must_stop(kStart + seconds{3600 - 62}, 0));
  EXPECT_TRUE(hour.must_stop(kStart + seconds{3600 - 61}, 0));
  const TimeLimit twenty(kStart + seconds{20}, kStart);
  EXPECT_FALSE(twenty.must_stop(kStart + seconds{16}, 0));
  EXPECT_TRUE(twenty.must_stop(kStart + seconds{17}, 0));
}

}  // namespace
}  // namespace cairn::policy
