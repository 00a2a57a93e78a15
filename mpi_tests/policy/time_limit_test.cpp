#include "policy/time_limit.hpp"

#include <gtest/gtest.h>

namespace cairn::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds{1'700'000'000}};

TEST(TimeLimit, NoMomentThenNeverStop) {
  const TimeLimit limit(std::nullopt, kStart);
  EXPECT_FALSE(limit.must_stop(Time::max(), true));
}

TEST(TimeLimit, PastMomentThenStopAtOnce) {
  EXPECT_TRUE(TimeLimit(kStart, kStart).must_stop(kStart, false));
  EXPECT_TRUE(TimeLimit(kStart - seconds{5}, kStart).must_stop(kStart, false));
}

TEST(TimeLimit, SavesOfTenSecondsThenFifteenAndASecondAreKeptForOne) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_save(seconds{2});  // the longest counts
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 17}, false));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 16}, false));
}

TEST(TimeLimit, SaveUnderWayThenItIsWaitedForToo) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 32}, true));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 31}, true));
}

TEST(TimeLimit, AnswersActAStepLateSoTwoStepsAreKept) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_step(seconds{30});
  limit.saw_step(seconds{20});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 77}, false));
  EXPECT_TRUE(limit.must_stop(kStart + seconds{1000 - 76}, false));
}

TEST(TimeLimit, LongStepLongAgoIsForgotten) {
  TimeLimit limit(kStart + seconds{1000}, kStart);
  limit.saw_save(seconds{10});
  limit.saw_step(seconds{300});
  for (int i = 0; i < 8; ++i) limit.saw_step(milliseconds{500});
  EXPECT_FALSE(limit.must_stop(kStart + seconds{1000 - 18}, false));
}

TEST(TimeLimit, SaveThatWasNeverSeenIsTakenToNeedAMinuteOrATenthOfTheTimeLeft) {
  const TimeLimit hour(kStart + seconds{3600}, kStart);
  EXPECT_FALSE(hour.must_stop(kStart + seconds{3600 - 62}, false));
  EXPECT_TRUE(hour.must_stop(kStart + seconds{3600 - 61}, false));
  const TimeLimit twenty(kStart + seconds{20}, kStart);
  EXPECT_FALSE(twenty.must_stop(kStart + seconds{16}, false));
  EXPECT_TRUE(twenty.must_stop(kStart + seconds{17}, false));
}

}  // namespace
}  // namespace cairn::policy
