#include "policy/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace cairn::policy {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Lt;
using testing::Not;
using testing::SizeIs;

using Seconds = std::vector<std::int64_t>;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr Time kStart{seconds{1'700'000'000}};

CheckpointPolicy at_most(Count n) {
  return {1, none, n, none};
}
CheckpointPolicy per_minutes(Count n) {
  return {1, none, none, n};
}

Kept saved_at(std::int64_t second) {
  return {.sequence = static_cast<std::uint64_t>(second), .saved_at = kStart + seconds{second}};
}

/// Checkpoints saved at 0, 1, … `count` - 1 seconds; the index is the second.
std::vector<Kept> one_a_second(std::size_t count) {
  std::vector<Kept> kept;
  for (std::size_t i = 0; i < count; ++i) kept.push_back(saved_at(static_cast<std::int64_t>(i)));
  return kept;
}

std::vector<Kept> with_protected(std::vector<Kept> kept, std::size_t index) {
  kept[index].is_protected = true;
  return kept;
}

std::vector<Kept> saved_at_all(const Seconds& times) {
  std::vector<Kept> kept;
  for (const std::int64_t second : times) kept.push_back(saved_at(second));
  return kept;
}

void retain(std::vector<Kept>& kept, const CheckpointPolicy& policy) {
  const std::vector<std::size_t> gone = to_delete(kept, policy);
  for (auto index = gone.rbegin(); index != gone.rend(); ++index) {
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(*index));
  }
}

Seconds times_of(const std::vector<Kept>& kept) {
  Seconds result;
  for (const Kept& one : kept) {
    result.push_back(std::chrono::duration_cast<seconds>(one.saved_at - kStart).count());
  }
  return result;
}

/// What stays in the end of `saves` saves, the first after `every` seconds, with retention after
/// each of them.
Seconds stays_of_run(const CheckpointPolicy& policy, std::int64_t every, int saves) {
  std::vector<Kept> kept;
  for (int i = 1; i <= saves; ++i) {
    kept.push_back(saved_at(every * i));
    retain(kept, policy);
  }
  return times_of(kept);
}

/// The same with all saves first and retention once.
Seconds stays_at_once(const CheckpointPolicy& policy, std::int64_t every, int saves) {
  std::vector<Kept> kept;
  for (int i = 1; i <= saves; ++i) kept.push_back(saved_at(every * i));
  retain(kept, policy);
  return times_of(kept);
}

TEST(KeepMax, OneTooManyThenTheOldestGoes) {
  EXPECT_THAT(to_delete(one_a_second(6), at_most(5)), ElementsAre(0));
}

TEST(KeepMax, FarTooManyThenAllButTheNewestGoInOneRun) {
  const auto gone = to_delete(one_a_second(1000), at_most(3));
  EXPECT_THAT(gone, SizeIs(997));
  EXPECT_THAT(gone, Each(Lt(997U)));
}

TEST(KeepMax, SeveralGoThenOldestFirst) {
  EXPECT_THAT(to_delete(one_a_second(6), at_most(2)), ElementsAre(0, 1, 2, 3));
}

TEST(KeepMax, AsManyOrFewerThenNoneGoes) {
  EXPECT_THAT(to_delete(one_a_second(5), at_most(5)), IsEmpty());
  EXPECT_THAT(to_delete(one_a_second(2), at_most(5)), IsEmpty());
  EXPECT_THAT(to_delete({}, at_most(5)), IsEmpty());
}

TEST(KeepMax, OneThenOnlyTheNewestStays) {
  EXPECT_THAT(to_delete(one_a_second(4), at_most(1)), ElementsAre(0, 1, 2));
  EXPECT_THAT(to_delete(one_a_second(1), at_most(1)), IsEmpty());
}

TEST(KeepMax, LargestNumberThenNoneGoes) {
  EXPECT_THAT(to_delete(one_a_second(10), at_most(kMost)), IsEmpty());
}

TEST(KeepMax, OldestIsProtectedThenItCountsAndTheNextOldestGoes) {
  EXPECT_THAT(to_delete(with_protected(one_a_second(4), 0), at_most(3)), ElementsAre(1));
}

TEST(KeepMax, ProtectedOneInBetweenThenItCountsAndStays) {
  EXPECT_THAT(to_delete(with_protected(one_a_second(6), 2), at_most(2)), ElementsAre(0, 1, 3, 4));
}

TEST(KeepMax, OneAndAnOlderIsProtectedThenThatAndTheNewestStay) {
  EXPECT_THAT(to_delete(with_protected(one_a_second(4), 1), at_most(1)), ElementsAre(0, 2));
}

TEST(KeepMax, NewestIsTheProtectedOneThenItIsCountedOnce) {
  EXPECT_THAT(to_delete(with_protected(one_a_second(4), 3), at_most(2)), ElementsAre(0, 1));
}

TEST(KeepMax, ProtectionEndsThenTheNextRunMakesUpForIt) {
  std::vector<Kept> kept = with_protected(one_a_second(3), 0);
  retain(kept, at_most(1));
  EXPECT_THAT(times_of(kept), ElementsAre(0, 2));
  kept[0].is_protected = false;
  kept.push_back(saved_at(3));
  retain(kept, at_most(1));
  EXPECT_THAT(times_of(kept), ElementsAre(3));
}

TEST(KeepMax, TimesOutOfOrderThenTheSequenceDecides) {
  const std::vector<Kept> clock_was_set_back{{.sequence = 1, .saved_at = kStart + seconds{900}},
                                             {.sequence = 2, .saved_at = kStart},
                                             {.sequence = 3, .saved_at = kStart + seconds{60}}};
  EXPECT_THAT(to_delete(clock_was_set_back, at_most(2)), ElementsAre(0));
}

// The rows of the contract's table: retention runs after each save.

TEST(KeepPerMinutes, ThreeMinutesAndASaveEvery30SecondsThenOneEveryThreeMinutesStays) {
  EXPECT_THAT(stays_of_run(per_minutes(3), 30, 40),
              ElementsAre(30, 210, 390, 570, 750, 930, 1110, 1200));
}

TEST(KeepPerMinutes, OneMinuteAndASaveEveryMinuteThenAllStay) {
  EXPECT_THAT(stays_of_run(per_minutes(1), 60, 10),
              ElementsAre(60, 120, 180, 240, 300, 360, 420, 480, 540, 600));
}

TEST(KeepPerMinutes, FiveMinutesAndASaveEvery100SecondsThenOneEveryFiveMinutesStays) {
  EXPECT_THAT(stays_of_run(per_minutes(5), 100, 20),
              ElementsAre(100, 400, 700, 1000, 1300, 1600, 1900, 2000));
}

TEST(KeepPerMinutes, RetentionFailedUntilTheEndThenOneRunLeavesTheSame) {
  EXPECT_THAT(stays_at_once(per_minutes(3), 30, 40),
              ElementsAre(30, 210, 390, 570, 750, 930, 1110, 1200));
  EXPECT_THAT(stays_at_once(per_minutes(1), 60, 10), SizeIs(10));
  EXPECT_THAT(stays_at_once(per_minutes(5), 100, 20),
              ElementsAre(100, 400, 700, 1000, 1300, 1600, 1900, 2000));
}

TEST(KeepPerMinutes, SavesOfAnyDistancesThenRetentionAfterEachLeavesTheSameAsOnceAtTheEnd) {
  std::mt19937 random(1);
  std::uniform_int_distribution<std::int64_t> distance(0, 150);
  std::vector<Kept> after_each;
  std::vector<Kept> at_the_end;
  std::int64_t now = 0;
  for (int i = 0; i < 500; ++i) {
    now += distance(random);
    after_each.push_back(saved_at(now));
    at_the_end.push_back(saved_at(now));
    retain(after_each, per_minutes(2));
  }
  retain(at_the_end, per_minutes(2));
  EXPECT_EQ(times_of(after_each), times_of(at_the_end));
}

TEST(KeepPerMinutes, AlmostNMinutesYoungerThenItGoes) {
  std::vector<Kept> kept = saved_at_all({0, 60, 61});
  kept[1].saved_at -= nanoseconds{1};
  EXPECT_THAT(to_delete(kept, per_minutes(1)), ElementsAre(1));
}

TEST(KeepPerMinutes, OneOrTwoThenNoneGoes) {
  EXPECT_THAT(to_delete({}, per_minutes(3)), IsEmpty());
  EXPECT_THAT(to_delete(saved_at_all({0}), per_minutes(3)), IsEmpty());
  EXPECT_THAT(to_delete(saved_at_all({0, 1}), per_minutes(3)), IsEmpty());
}

TEST(KeepPerMinutes, ProtectedThenItStaysAndTheOthersStayAsWithoutIt) {
  const Seconds times{30, 60, 90, 120, 150, 180, 210, 240};
  EXPECT_THAT(to_delete(saved_at_all(times), per_minutes(3)), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(to_delete(with_protected(saved_at_all(times), 3), per_minutes(3)),
              ElementsAre(1, 2, 4, 5));
}

TEST(KeepPerMinutes, ClockWasSetBackThenTheNewestStays) {
  const auto gone = to_delete(saved_at_all({1000, 1100, 1200, 1300}), per_minutes(30));
  EXPECT_THAT(gone, ElementsAre(1, 2));
  std::vector<Kept> kept = saved_at_all({1000, 1100, 1200});
  kept[1].saved_at = kept[2].saved_at = kStart;
  EXPECT_THAT(to_delete(kept, per_minutes(3)), ElementsAre(1));
}

TEST(KeepPerMinutes, LargestNumbersThenNoOverflow) {
  std::vector<Kept> kept = saved_at_all({1, 2, 3});
  kept[0].saved_at = Time::min();
  kept[1].saved_at = kept[2].saved_at = Time::max();
  EXPECT_THAT(to_delete(kept, per_minutes(kMost)), ElementsAre(1));
  EXPECT_THAT(to_delete(kept, per_minutes(1)), IsEmpty());
}

// Resolved policies.

TEST(Retention, BothRulesGivenThenMaxDecides) {
  EXPECT_THAT(to_delete(one_a_second(4), {1, none, 3, 60}), ElementsAre(0));
}

TEST(Retention, MaxZeroOrNoneWithMinutesThenTheMinutesDecide) {
  EXPECT_THAT(to_delete(one_a_second(4), {1, none, 0, 60}), ElementsAre(1, 2));
  EXPECT_THAT(to_delete(one_a_second(4), {1, none, none, 60}), ElementsAre(1, 2));
}

TEST(Retention, NeitherRuleThenNoneGoes) {
  EXPECT_THAT(to_delete(one_a_second(9), {1, none, none, none}), IsEmpty());
  EXPECT_THAT(to_delete(one_a_second(9), {1, none, 0, 0}), IsEmpty());
}

TEST(Retention, AnyPolicyThenTheNewestNeverGoes) {
  for (std::size_t count = 1; count < 8; ++count) {
    for (std::int64_t n = 1; n < 8; ++n) {
      EXPECT_THAT(to_delete(one_a_second(count), at_most(n)), Not(Contains(count - 1)));
      EXPECT_THAT(to_delete(one_a_second(count), per_minutes(n)), Not(Contains(count - 1)));
    }
  }
}

/// "F" is a full one, "i" an increment on the last full one; one a second, from 1 on.
std::vector<Kept> chains(const std::string& kinds) {
  std::vector<Kept> kept;
  std::size_t chain = 0;
  for (const char kind : kinds) {
    Kept one = saved_at(static_cast<std::int64_t>(kept.size()) + 1);
    if (kind == 'F') ++chain;
    one.chain = chain;
    kept.push_back(one);
  }
  return kept;
}

TEST(Chains, IncrementsOfTheNewestThenNoneGoesHoweverManyTheyAre) {
  EXPECT_THAT(to_delete(chains("Fiiiii"), at_most(2)), IsEmpty());
  EXPECT_THAT(to_delete(chains("Fiiiii"), at_most(1)), IsEmpty());
}

TEST(Chains, AnOldChainThenItGoesWholeIncrementsBeforeTheirBase) {
  EXPECT_THAT(to_delete(chains("FiiFii"), at_most(3)), ElementsAre(2, 1, 0));
  EXPECT_THAT(to_delete(chains("FiFiiF"), at_most(1)), ElementsAre(1, 0, 4, 3, 2));
}

TEST(Chains, FewerThanTheMaximumWouldStayThenTheChainStays) {
  EXPECT_THAT(to_delete(chains("FiiFii"), at_most(4)), IsEmpty());
  EXPECT_THAT(to_delete(chains("FiiFi"), at_most(3)), IsEmpty());
  EXPECT_THAT(to_delete(chains("FiiFii"), at_most(5)), IsEmpty());
}

TEST(Chains, OneIsProtectedThenItsChainStaysAndOthersGo) {
  EXPECT_THAT(to_delete(with_protected(chains("FiFiF"), 1), at_most(1)), ElementsAre(3, 2));
}

TEST(Chains, OneStaysByTheMinutesThenItsChainStays) {
  std::vector<Kept> kept = chains("FiFiFi");
  const Seconds times{0, 30, 70, 80, 90, 100};
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i].saved_at = kStart + seconds{times[i]};
  // 0 stays as the first, 70 by the rule; the last chain has the newest.
  EXPECT_THAT(to_delete(kept, per_minutes(1)), IsEmpty());
  kept[2].saved_at = kStart + seconds{50};
  kept[3].saved_at = kStart + seconds{55};
  EXPECT_THAT(to_delete(kept, per_minutes(1)), ElementsAre(3, 2));
}

}  // namespace
}  // namespace cairn::policy
