#include "storage/series.hpp"

#include <cerrno>
#include <fstream>

#include "storage/child_process.hpp"
#include "storage/commit.hpp"
#include "storage/expect_error.hpp"
#include "storage/listing.hpp"
#include "storage/sample_directory.hpp"
#include "storage/system_calls.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;
using cairn::testing::Call;
using cairn::testing::CallWatch;
using cairn::testing::ChildProcess;
using cairn::testing::expect_error;
using cairn::testing::sample_identity;
using cairn::testing::write_image;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Place kHere{"", "CKP"};

CheckpointPolicy keep_at_most(std::int64_t n) {
  return {1, none, n, none};
}
CheckpointPolicy keep_per_minutes(std::int64_t n) {
  return {1, none, none, n};
}

class SeriesTest : public cairn::testing::DirectoryTest {
 protected:
  static SweepRules rules() {
    return {sample_identity(), std::chrono::hours(24), std::chrono::milliseconds(0)};
  }
  /// The one place of a run without functions of the step.
  [[nodiscard]] Catalog here() const { return {root(), kHere}; }
  [[nodiscard]] fs::path root() const { return at("").parent_path(); }

  Series open(unsigned number = 0) const { return {here(), number, rules()}; }

  /// A save as rank 0 runs it; what retention deletes is in `deleted_`.
  fs::path save(Series& series, std::uint64_t step, const CheckpointPolicy& policy = {},
                const Place& place = kHere, std::uint64_t steps_per_epoch = 0) {
    Series::Next next = series.next(place, step, steps_per_epoch);
    next.record.saved_at = now_;
    Commit commit(next.path, sample_identity(), true);
    cairn::testing::fill_image(commit.create(), layout(), next.record);
    commit.publish();
    commit.discard_replaced();
    series.committed(next.path, next.record);
    retain(series, policy);
    return next.path;
  }

  void retain(Series& series, const CheckpointPolicy& policy) {
    deleted_.clear();
    failed_.clear();
    series.retain(
        policy, nullptr, [&](const fs::path& path) { deleted_.push_back(path.filename().string()); },
        [&](const fs::path& path, const Error& why) {
          failed_.push_back(path.filename().string() + ": " + why.what());
        });
  }

  /// The candidates of restore(), in their order, as "name sequence" or "name problem".
  static Names candidates(const Series& series) {
    Names all;
    for (const Found& found : series.candidates()) {
      all.push_back(found.path.filename().string() + " " +
                    (found.identity ? std::to_string(found.identity->sequence)
                                  : std::string(to_string(found.problem->code()))));
    }
    return all;
  }

  Names checkpoints() const {
    Names all;
    for (const std::string& name : names()) {
      if (policy::parse_checkpoint_name(name)) all.push_back(name);
    }
    return all;
  }

  Time now_{std::chrono::seconds(1'700'000'000)};
  Names deleted_;
  Names failed_;
};

// ---- Which series

TEST_F(SeriesTest, WhereThereIsNothingTheNumberIsZeroAndNoneIsNewest) {
  EXPECT_EQ(Series::fresh_number(here()), 0U);
  EXPECT_EQ(Series::newest_number(here()), std::nullopt);
  const Catalog nowhere(root() / "nowhere", kHere);
  EXPECT_EQ(Series::fresh_number(nowhere), 0U);
  EXPECT_EQ(Series::newest_number(nowhere), std::nullopt);
  EXPECT_FALSE(exists("nowhere"));
}

TEST_F(SeriesTest, AFreshRunTakesTheNumberAboveAllThatHaveAnyCheckpoint) {
  put_checkpoint("CKP-1_1.h5", 1);
  EXPECT_EQ(Series::fresh_number(here()), 1U);
  put("CKP_4-1_1.h5", "damaged");
  EXPECT_EQ(Series::fresh_number(here()), 5U);
  put("CKP_6-1_1.h5.replaced", "");
  EXPECT_EQ(Series::fresh_number(here()), 7U);
  put("CKP_8-1_1_breakpoint.h5", "");
  EXPECT_EQ(Series::fresh_number(here()), 9U);
  EXPECT_EQ(Series::newest_number(here()), 8U);
}

TEST_F(SeriesTest, OtherPrefixesLocksAndTemporaryFilesAreNoSeries) {
  put("CKPT-1_1.h5", "");
  put("CKP_x-1_1.h5", "");
  put("CKP_01-1_1.h5", "");
  put(".lock-CKP", "");
  put(".tmp-0123456789abcdef-here-1-0-CKP-1_1.h5", "");
  EXPECT_EQ(Series::fresh_number(here()), 0U);
  EXPECT_EQ(Series::newest_number(here()), std::nullopt);
}

TEST_F(SeriesTest, AFreshRunNeverJoinsASeriesThatAnotherOneBeganAndEndedMeanwhile) {
  std::optional<Series> series;
  {
    const CallWatch watch([&](Call call) {
      if (call == Call::lock && !exists("CKP-1_1.h5")) put_checkpoint("CKP-1_1.h5", 1);
      return 0;
    });
    series.emplace(Series::fresh(here(), rules()));
  }
  EXPECT_THAT(series->candidates(), IsEmpty());
  EXPECT_EQ(save(*series, 1), root() / "CKP_1-1_1.h5");
  EXPECT_THAT(names(), ElementsAre(".lock-CKP_1", "CKP-1_1.h5", "CKP_1-1_1.h5"));
}

// ---- Names and sequence numbers

TEST_F(SeriesTest, TheFirstCheckpointHasSequenceOneAndTheNextOnesCount) {
  Series series = open(2);
  const auto next = series.next(kHere, 25, 10);
  EXPECT_EQ(next.path, root() / "CKP_2-3_5.h5");
  EXPECT_EQ(next.record.series, "CKP_2");
  EXPECT_EQ(next.record.step, 25U);
  EXPECT_EQ(next.record.epoch, 3U);
  EXPECT_EQ(next.record.step_in_epoch, 5U);
  EXPECT_EQ(next.record.steps_per_epoch, 10U);
  EXPECT_EQ(next.record.sequence, 1U);
  save(series, 25);
  EXPECT_EQ(series.next(kHere, 26, 10).record.sequence, 2U);
  EXPECT_EQ(series.next(kHere, 26, 10).record.sequence, 2U) << "only a commit counts";
}

TEST_F(SeriesTest, TheSequenceGoesOnAfterARestartThoughStepsRepeat) {
  {
    Series series = open();
    for (const std::uint64_t step : {10, 20, 30}) save(series, step);
  }
  Series series = open();
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_30.h5 3", "CKP-1_20.h5 2", "CKP-1_10.h5 1"));
  series.restored(root() / "CKP-1_10.h5");  // the newer two did not load
  save(series, 20);
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_20.h5 4", "CKP-1_30.h5 3", "CKP-1_10.h5 1"));
  EXPECT_THAT(candidates(open(1)), IsEmpty());
}

TEST_F(SeriesTest, BreakpointsAndOtherSeriesAreSetApart) {
  put_checkpoint("CKP-1_7.h5", 7);
  put_checkpoint("CKP-1_9_breakpoint.h5", 9);
  put_checkpoint("CKP_1-1_8.h5", 8);
  Series series = open();
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_9_breakpoint.h5 9", "CKP-1_7.h5 7"));
  save(series, 10, keep_at_most(1));
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_7.h5"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_10.h5", "CKP-1_9_breakpoint.h5", "CKP_1-1_8.h5"));
}

TEST_F(SeriesTest, DamagedOnesMayBeTheNewestAndDoNotCount) {
  put_checkpoint("CKP-1_1.h5", 1);
  put_checkpoint("CKP-1_2.h5", 2);
  put_damaged("CKP-1_3.h5");
  put("CKP-1_4.h5", "cut short");
  put_image("CKP-1_5.h5", record_for("CKP-1_6.h5", 5));
  Series series = open();
  EXPECT_THAT(candidates(series),
              ElementsAre("CKP-1_3.h5 damaged", "CKP-1_4.h5 damaged", "CKP-1_5.h5 damaged",
                          "CKP-1_2.h5 2", "CKP-1_1.h5 1"));
  save(series, 7, keep_at_most(3));
  EXPECT_THAT(deleted_, IsEmpty());
  save(series, 8, keep_at_most(3));
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_1.h5"));
  save(series, 4, keep_at_most(3));  // takes the place of a damaged one
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_2.h5"));
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_3.h5 damaged", "CKP-1_5.h5 damaged",
                                              "CKP-1_4.h5 5", "CKP-1_8.h5 4", "CKP-1_7.h5 3"));
}

TEST_F(SeriesTest, TheSameStepAgainReplacesAndCountsOnce) {
  Series series = open();
  save(series, 1);
  save(series, 2);
  save(series, 2, keep_at_most(2));
  EXPECT_THAT(deleted_, IsEmpty());
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_2.h5 3", "CKP-1_1.h5 1"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_2.h5"));
}

// ---- Retention

TEST_F(SeriesTest, TheOldestBySequenceGoUntilTheMaximumIsLeft) {
  {
    Series series = open();
    for (const std::uint64_t step : {5, 6, 7, 3, 4}) save(series, step);
  }
  Series series = open();
  save(series, 5, keep_at_most(3));
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_6.h5", "CKP-1_7.h5"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_3.h5", "CKP-1_4.h5", "CKP-1_5.h5"));
}

TEST_F(SeriesTest, OnePerMinutesStaysByTheTimesInTheFiles) {
  {
    Series series = open();
    for (std::uint64_t step = 1; step <= 6; ++step) {
      save(series, step, keep_per_minutes(5));
      now_ += std::chrono::seconds(100);
    }
  }
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_4.h5", "CKP-1_6.h5"));
  for (const std::string& name : checkpoints()) {
    fs::last_write_time(at(name), fs::file_time_type::clock::now());  // tells nothing
  }
  Series series = open();
  save(series, 7, keep_per_minutes(5));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_4.h5", "CKP-1_7.h5"));
}

TEST_F(SeriesTest, TheOneRestoredFromStaysUntilANewerOneIsCommitted) {
  {
    Series series = open();
    for (const std::uint64_t step : {1, 2, 3}) save(series, step);
  }
  Series series = open();
  series.restored(root() / "CKP-1_1.h5");
  retain(series, keep_at_most(1));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_3.h5"));
  save(series, 2, keep_at_most(1));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_2.h5"));
}

/// A full checkpoint with entries, and increments on it as `increment_at` has them.
class SeriesOfIncrements : public SeriesTest {
 protected:
  void save_next(Series& series, std::uint64_t step, bool full,
                 const CheckpointPolicy& policy = {}) {
    Series::Next next = series.next(kHere, step, 0);
    next.record.saved_at = now_;
    next.record.required_features = kMapFeature;
    const auto chain = series.increment_at(next.path);
    ASSERT_EQ(chain.has_value(), !full) << step;
    if (chain) next.record.chain = *chain;
    next.record.chain.map_bytes = chain ? 10 : 1000;
    Commit commit(next.path, sample_identity(), true);
    cairn::testing::fill_image(commit.create(), layout(), next.record);
    commit.publish();
    series.committed(next.path, next.record);
    retain(series, policy);
  }
};

TEST_F(SeriesOfIncrements, EachIsOnTheOneBeforeIt) {
  Series series = open();
  for (std::uint64_t step = 1; step <= 3; ++step) save_next(series, step, step == 1);
  const auto chain = series.increment_at(root() / "CKP-1_4.h5");
  ASSERT_TRUE(chain.has_value());
  EXPECT_EQ(chain->base, 1U);
  EXPECT_EQ(chain->position, 3U);
  EXPECT_EQ(chain->parent, "CKP-1_3.h5");
  EXPECT_EQ(series.increment_at(root() / "sub" / "CKP-1_4.h5")->parent, "../CKP-1_3.h5");
}

TEST_F(SeriesOfIncrements, AnotherRunThenItIsFullUnlessItRestored) {
  {
    Series series = open();
    for (std::uint64_t step = 1; step <= 3; ++step) save_next(series, step, step == 1);
  }
  Series series = open();
  EXPECT_FALSE(series.increment_at(root() / "CKP-1_4.h5").has_value());
  series.restored(root() / "CKP-1_2.h5");
  EXPECT_EQ(series.increment_at(root() / "CKP-1_4.h5")->position, 2U);
}

TEST_F(SeriesOfIncrements, ALinkIsGoneOrWouldBeReplacedThenTheNextIsFull) {
  {
    Series series = open();
    for (std::uint64_t step = 1; step <= 4; ++step) save_next(series, step, step == 1);
    EXPECT_FALSE(series.increment_at(root() / "CKP-1_2.h5").has_value());
    EXPECT_FALSE(series.increment_at(root() / "CKP-1_2.shards").has_value());
  }
  fs::remove(at("CKP-1_2.h5"));
  Series series = open();
  series.restored(root() / "CKP-1_4.h5");
  EXPECT_FALSE(series.increment_at(root() / "CKP-1_5.h5").has_value());
}

TEST_F(SeriesOfIncrements, AnIncrementCannotBeDeletedThenWhatItNeedsStays) {
  Series series = open();
  for (std::uint64_t step = 1; step <= 3; ++step) save_next(series, step, step == 1);
  save(series, 4);
  {
    int left = 1;  // the first rename, of the newest increment, works
    const CallWatch watch([&](Call call) {
      return call == Call::rename && left-- <= 0 ? EACCES : 0;
    });
    retain(series, keep_at_most(1));
  }
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_3.h5"));
  ASSERT_EQ(failed_.size(), 1U);
  EXPECT_THAT(failed_.front(), HasSubstr("CKP-1_2.h5"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_2.h5", "CKP-1_4.h5"));
  retain(series, keep_at_most(1));
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_2.h5", "CKP-1_1.h5"));
}

TEST_F(SeriesOfIncrements, RoomIsMadeThenTheOldestChainGoesWhole) {
  Series series = open();
  for (std::uint64_t step = 1; step <= 3; ++step) save_next(series, step, step == 1);
  EXPECT_TRUE(series.drop_oldest().empty());  // the newest needs them
  save(series, 4);
  EXPECT_THAT(series.drop_oldest(), ElementsAre(root() / "CKP-1_3.h5", root() / "CKP-1_2.h5",
                                                root() / "CKP-1_1.h5"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_4.h5"));
}

TEST_F(SeriesOfIncrements, AFullOneOfTheSameNumberComesBackThenTheNewestChainStays) {
  {
    Series series = open();
    save(series, 1);
    save(series, 9);
  }
  fs::rename(at("CKP-1_9.h5"), root() / "moved away");
  {
    Series series = open();
    for (const std::uint64_t step : {10, 11, 12}) save_next(series, step, step == 10);
  }
  fs::rename(root() / "moved away", at("CKP-1_9.h5"));
  Series series = open();
  series.restored(at("CKP-1_12.h5"));
  save_next(series, 13, false, keep_at_most(2));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_10.h5", "CKP-1_11.h5", "CKP-1_12.h5",
                                         "CKP-1_13.h5"));
}

TEST_F(SeriesOfIncrements, RestoredFromANameThatStandsAsideThenTheNextIsFull) {
  {
    Series series = open();
    save_next(series, 1, true);
    save_next(series, 2, false);
  }
  fs::rename(at("CKP-1_2.h5"), at("CKP-1_2.h5.replaced"));
  std::ofstream(at("CKP-1_2.h5")).put('x');  // so that it stays aside
  Series series = open();
  series.restored(at("CKP-1_2.h5.replaced"));
  EXPECT_FALSE(series.increment_at(root() / "CKP-1_3.h5").has_value());
}

TEST_F(SeriesOfIncrements, OneWhoseBaseIsGoneDoesNotCountAndDisplacesNoGoodOne) {
  {
    Series series = open();
    for (const std::uint64_t step : {1, 2}) save(series, step);
  }
  {
    Series series = open();
    for (const std::uint64_t step : {3, 4}) save_next(series, step, step == 3);
  }
  fs::remove(at("CKP-1_3.h5"));
  Series series = open();
  save(series, 5, keep_at_most(3));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_2.h5", "CKP-1_4.h5", "CKP-1_5.h5"));
  save(series, 6, keep_at_most(3));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_2.h5", "CKP-1_4.h5", "CKP-1_5.h5", "CKP-1_6.h5"));
}

TEST_F(SeriesTest, ADeletionThatFailsIsReportedAndTriedAgainAfterTheNextSave) {
  Series series = open();
  save(series, 1);
  save(series, 2);
  {
    const CallWatch watch([](Call call) { return call == Call::rename ? EACCES : 0; });
    retain(series, keep_at_most(1));
  }
  ASSERT_EQ(failed_.size(), 1U);
  EXPECT_THAT(failed_.front(), HasSubstr("CKP-1_1.h5: cannot rename"));
  EXPECT_THAT(deleted_, IsEmpty());
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_1.h5", "CKP-1_2.h5"));
  save(series, 3, keep_at_most(1));
  EXPECT_THAT(failed_, IsEmpty());
  EXPECT_THAT(deleted_, ElementsAre("CKP-1_1.h5", "CKP-1_2.h5"));
}

TEST_F(SeriesTest, ADeletionThatEndsHalfwayIsFinishedAfterTheNextSave) {
  for (const Call failing : {Call::sync, Call::remove}) {
    Series series = open();
    save(series, 1);
    save(series, 2);
    {
      const CallWatch watch([&](Call call) { return call == failing ? EIO : 0; });
      retain(series, keep_at_most(1));
    }
    EXPECT_EQ(failed_.size(), 1U);
    EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_2.h5"));
    save(series, 3, keep_at_most(1));
    EXPECT_THAT(names(), ElementsAre(".lock-CKP", "CKP-1_3.h5"));
    fs::remove(at("CKP-1_3.h5"));
  }
}

TEST_F(SeriesTest, OneThatSomebodyElseDeletedIsNoFailure) {
  Series series = open();
  save(series, 1);
  save(series, 2);
  fs::remove(at("CKP-1_1.h5"));
  retain(series, keep_at_most(1));
  EXPECT_THAT(failed_, IsEmpty());
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_2.h5"));
}

TEST_F(SeriesTest, RoomIsMadeByTheNextOneWhereTheOldestWasDeletedBySomebodyElse) {
  Series series = open();
  for (const std::uint64_t step : {1, 2, 3}) save(series, step, keep_at_most(5));
  fs::remove(at("CKP-1_1.h5"));
  EXPECT_THAT(series.drop_oldest(), ElementsAre(root() / "CKP-1_2.h5"));
  EXPECT_TRUE(series.drop_oldest().empty());  // the newest
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_3.h5"));
}

TEST_F(SeriesTest, WhereverTheProcessDiesTheNewestCheckpointIsRestorable) {
  // A save that replaces the same step, and the retention after it.
  int deaths = 0;
  for (int ended = 1; ended != 0; ++deaths) {
    SCOPED_TRACE("died before call " + std::to_string(deaths));
    fs::remove_all(root());
    fs::create_directory(root());
    put_checkpoint("CKP-1_6.h5", 1);
    put_checkpoint("CKP-1_7.h5", 2);
    ChildProcess child([&](const ChildProcess::Hold&) {
      Series series = open();
      const CallWatch watch([left = deaths](Call) mutable {
        if (left-- == 0) _exit(1);
        return 0;
      });
      save(series, 7, keep_at_most(1));
    });
    ended = child.wait();
    {
      const Series series = open();
      const auto found = series.candidates();
      ASSERT_FALSE(found.empty());
      ASSERT_TRUE(found.front().identity);
      EXPECT_EQ(found.front().path, root() / "CKP-1_7.h5");
      EXPECT_GE(found.front().identity->sequence, 2U);
      EXPECT_THAT(names().size(), ::testing::AnyOf(2, 3)) << "a lock, 7, perhaps 6";
    }
    ASSERT_LT(deaths, 100);
  }
  EXPECT_GT(deaths, 8);
}

// ---- Recovery

TEST_F(SeriesTest, OneThatStoodAsideWhenTheProcessDiedGetsItsNameBack) {
  put_checkpoint("CKP-1_7.h5.replaced", 4);
  put_checkpoint("CKP-1_6.h5", 3);
  EXPECT_EQ(Series::newest_number(here()), 0U);
  const Series series = open();
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_7.h5 4", "CKP-1_6.h5 3"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_6.h5", "CKP-1_7.h5"));
}

TEST_F(SeriesTest, OneThatStoodAsideGoesWhereTheNewOneIsGood) {
  put_checkpoint("CKP-1_7.h5.replaced", 4);
  put_checkpoint("CKP-1_7.h5", 5);
  const Series series = open();
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_7.h5 5"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_7.h5"));
}

TEST_F(SeriesTest, OneThatStoodAsideStaysWhereTheNewOneIsDamaged) {
  put_checkpoint("CKP-1_7.h5.replaced", 4);
  put_damaged("CKP-1_7.h5");
  EXPECT_THAT(candidates(open()), ElementsAre("CKP-1_7.h5 damaged", "CKP-1_7.h5.replaced 4"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_7.h5", "CKP-1_7.h5.replaced"));
}

TEST_F(SeriesTest, OneThatStoodAsideCountsNoMoreWhenItWasReplaced) {
  put_checkpoint("CKP-1_6.h5", 3);
  put_checkpoint("CKP-1_7.h5.replaced", 4);
  put_damaged("CKP-1_7.h5");
  Series series = open();
  save(series, 7, keep_at_most(2));
  EXPECT_THAT(deleted_, IsEmpty());
  EXPECT_THAT(candidates(series), ElementsAre("CKP-1_7.h5 5", "CKP-1_6.h5 3"));
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_6.h5", "CKP-1_7.h5"));
}

TEST_F(SeriesTest, RecoveryOfOtherSeriesIsLeftToThem) {
  put_checkpoint("CKP_1-1_7.h5.replaced", 4);
  put_checkpoint("CKP-1_7.h5", 5);
  const Series series = open();
  EXPECT_THAT(checkpoints(), ElementsAre("CKP-1_7.h5", "CKP_1-1_7.h5.replaced"));
}

/// What rank 0 of 2 saved alone at step 7 of the series CKP.
constexpr const char* kLone = "CKP-1_7_breakpoint.rank0of2.shard";
constexpr const char* kLoneAside = "CKP-1_7_breakpoint.rank0of2.shard.replaced";

class SeriesOfLone : public SeriesTest {
 protected:
  void put_lone(const char* name, std::uint64_t sequence) const {
    put_image(name, record_for("CKP-1_7_breakpoint.h5", sequence));
  }
  std::uint64_t sequence_of(const char* name) const {
    return identity_at(at(name), false).sequence;
  }
};

TEST_F(SeriesOfLone, OneThatStoodAsideGetsItsNameBack) {
  put_lone(kLoneAside, 4);
  EXPECT_EQ(Series::newest_number(here()), 0U) << "it is there before any series is opened";
  EXPECT_EQ(Series::fresh_number(here()), 1U);
  const Series series = open();
  EXPECT_FALSE(exists(kLoneAside));
  EXPECT_EQ(sequence_of(kLone), 4U);
  ASSERT_EQ(series.candidates().size(), 1U);
  EXPECT_EQ(series.candidates()[0].identity->sequence, 4U);
}

TEST_F(SeriesOfLone, OneThatStoodAsideGoesWhereTheNewOneIsGood) {
  put_lone(kLoneAside, 4);
  put_lone(kLone, 5);
  static_cast<void>(open());
  EXPECT_FALSE(exists(kLoneAside));
  EXPECT_EQ(sequence_of(kLone), 5U);
}

TEST_F(SeriesOfLone, OneThatStoodAsideStaysWhereTheNewOneIsDamaged) {
  put_lone(kLoneAside, 4);
  put(kLone, "no image");
  static_cast<void>(open());
  EXPECT_TRUE(exists(kLoneAside));
}

TEST_F(SeriesOfLone, OfOtherSeriesIsLeftToThem) {
  put_lone(kLoneAside, 4);
  static_cast<void>(open(1));
  EXPECT_TRUE(exists(kLoneAside));
  const DirectoryListing listing = look_at(root());
  ASSERT_EQ(listing.remnants.size(), 1U);
  EXPECT_EQ(listing.remnants[0].remnant, Remnant::replaced);
}

TEST_F(SeriesTest, OpeningSweepsAndTellsWhat) {
  put(".lock-CKP_3", "");
  policy::TemporaryName name = sample_identity();
  name.final_name = "CKP-1_9.h5";
  put(policy::format(name), "half");
  const Series series = open();
  EXPECT_THAT(series.swept(), ElementsAre(at(".lock-CKP_3"), at(policy::format(name))));
  EXPECT_THAT(names(), ElementsAre(".lock-CKP"));
}

// ---- The lock

TEST_F(SeriesTest, ASecondJobIsRefusedByHostAndProcessOfTheFirst) {
  ChildProcess first([&](const ChildProcess::Hold& hold) {
    SweepRules its = rules();
    its.identity = sample_identity();  // with the child's process id
    const Series series(here(), 0, its);
    hold();
  });
  ASSERT_TRUE(first.holding());
  expect_error(
      ErrorCode::invalid_argument,
      {"series \"CKP\"", "in use", "host here", ("process " + std::to_string(first.id())).c_str()},
      [&] { open(); });
  EXPECT_NO_THROW(open(1)) << "another series";
  EXPECT_EQ(first.wait(), 0);
  EXPECT_NO_THROW(open());
  EXPECT_THAT(names(), IsEmpty()) << "the lock goes with its holder";
}

TEST_F(SeriesTest, ASecondHolderInTheSameProcessIsRefused) {
  const Series first = open();
  expect_error(ErrorCode::invalid_argument,
               {"in use", ("process " + std::to_string(::getpid())).c_str()}, [&] { open(); });
}

TEST_F(SeriesTest, TheLockOfADeadJobIsTakenOver) {
  ChildProcess first([&](const ChildProcess::Hold& hold) {
    const Series series = open();
    hold();
  });
  ASSERT_TRUE(first.holding());
  first.kill();
  EXPECT_THAT(names(), ElementsAre(".lock-CKP"));
  const Series series = open();
  EXPECT_EQ(text_in(".lock-CKP"), "host here, process " + std::to_string(::getpid()));
}

TEST_F(SeriesTest, ALockThatItsHolderRemovesMeanwhileIsMadeAnew) {
  put(".lock-CKP", "host there, process 1");
  std::optional<Series> series;
  {
    const CallWatch watch([&, first = true](Call call) mutable {
      if (call == Call::lock && std::exchange(first, false)) ::unlink(at(".lock-CKP").c_str());
      return 0;
    });
    series.emplace(here(), 0, rules());
  }
  EXPECT_TRUE(exists(".lock-CKP"));
  EXPECT_THROW(open(), Error);
}

TEST_F(SeriesTest, AHolderThatDiesLateIsWaitedFor) {
  ChildProcess first([&](const ChildProcess::Hold& hold) {
    const Series series = open();
    hold();
  });
  ASSERT_TRUE(first.holding());
  SweepRules patient = rules();
  patient.patience = std::chrono::seconds(60);
  bool refused = false;
  const CallWatch watch([&](Call call) {
    // The second try: the first one was refused.
    if (call == Call::lock && std::exchange(refused, true) && first.holding()) first.go_on();
    return 0;
  });
  EXPECT_NO_THROW(Series(here(), 0, patient));
}

TEST_F(SeriesTest, AHolderThatHasNotWrittenItsNameYetIsCalledThat) {
  const PosixFile lock = PosixFile::create(at(".lock-CKP"));
  ASSERT_TRUE(lock.try_lock_exclusive());
  expect_error(ErrorCode::invalid_argument, {"in use by a job that has just begun"},
               [&] { open(); });
}

TEST_F(SeriesTest, AFileSystemWithoutLocksIsAnErrorThatSaysSo) {
  const CallWatch watch([](Call call) { return call == Call::lock ? ENOSYS : 0; });
  expect_error(ErrorCode::io, {"cannot lock", ".lock-CKP", "not implemented"}, [&] { open(); });
}

// ---- Several places

class CatalogTest : public SeriesTest {
 protected:
  /// The catalog of a run whose directory or prefix is a function of the step.
  Catalog varying() const { return {root(), std::nullopt}; }
  [[nodiscard]] Catalog varying_with(const std::vector<Place>& places) const {
    Catalog catalog = varying();
    for (const Place& place : places) catalog.add(place, sample_identity());
    return catalog;
  }
};

TEST_F(CatalogTest, ThePlacesUsedSurviveARestart) {
  const Place one{"one", "A"};
  const Place two{"two/inner", "B"};
  {
    Series series(varying_with({one}), 0, rules());
    save(series, 1, {}, one);
    save(series, 2, {}, two);
    save(series, 3, {}, {"", "A"});
  }
  EXPECT_EQ(text_in(Catalog::kFileName), "one\tA\ntwo/inner\tB\n\tA\n");
  EXPECT_THAT(names("one"), ElementsAre("A-1_1.h5"));
  EXPECT_THAT(names("two/inner"), ElementsAre("B-1_2.h5"));
  EXPECT_EQ(Series::newest_number(varying()), 0U);
  EXPECT_EQ(Series::fresh_number(varying()), 1U);
  Series series(varying(), 0, rules());
  EXPECT_THAT(candidates(series), ElementsAre("A-1_3.h5 3", "B-1_2.h5 2", "A-1_1.h5 1"));
  save(series, 4, keep_at_most(2), two);
  EXPECT_THAT(deleted_, ElementsAre("A-1_1.h5", "B-1_2.h5"));
}

TEST_F(CatalogTest, APlaceIsEnteredBeforeAnythingIsWrittenThere) {
  Series series(varying_with({{"one", "A"}}), 0, rules());
  static_cast<void>(series.next({"two", "A"}, 1, 0));
  EXPECT_THAT(text_in(Catalog::kFileName), HasSubstr("two\tA\n"));
  EXPECT_FALSE(exists("two"));
}

TEST_F(CatalogTest, OnlyPrefixesOfItsOwnDirectoryCount) {
  const Series series(varying_with({{"one", "A"}, {"two", "B"}}), 0, rules());
  fs::create_directory(at("one"));
  put_checkpoint("A-1_1.h5", 9);
  put_checkpoint("one/B-1_1.h5", 9);
  EXPECT_EQ(Series::newest_number(varying()), std::nullopt);
}

TEST_F(CatalogTest, WithOnePlaceThereIsNoFile) {
  Series series = open();
  save(series, 1);
  EXPECT_FALSE(exists(Catalog::kFileName));
}

TEST_F(CatalogTest, OneDirectoryByTwoNamesIsOnePlace) {
  {
    Series series(varying_with({{"run", "A"}}), 0, rules());
    save(series, 1, {}, {"run", "A"});
    save(series, 2, {}, {"run/", "A"});
    save(series, 3, {}, {"./run", "A"});
    save(series, 4, {}, {"other/../run", "A"});
  }
  EXPECT_EQ(text_in(Catalog::kFileName), "run\tA\n");
  Series series(varying(), 0, rules());
  EXPECT_THAT(candidates(series),
              ElementsAre("A-1_4.h5 4", "A-1_3.h5 3", "A-1_2.h5 2", "A-1_1.h5 1"));
  save(series, 5, keep_at_most(4), {"run/", "A"});
  EXPECT_THAT(deleted_, ElementsAre("A-1_1.h5"));
}

TEST_F(CatalogTest, TheRootByAnyNameIsOnePlace) {
  const Catalog catalog = varying_with({{"", "A"}, {".", "A"}, {"./", "A"}});
  EXPECT_THAT(catalog.places(), ElementsAre(Place{"", "A"}));
}

TEST_F(CatalogTest, TwoJobsThatAddPlacesKeepEachOthers) {
  Catalog mine = varying_with({{"one", "A"}});
  {
    Catalog theirs = varying();
    theirs.add({"two", "A"}, sample_identity());
  }
  mine.add({"three", "A"}, sample_identity());
  EXPECT_THAT(varying().places(),
              ElementsAre(Place{"one", "A"}, Place{"two", "A"}, Place{"three", "A"}));
}

TEST_F(CatalogTest, JobsThatAddAtTheSameTimeLoseNone) {
  ChildProcess other([&](const ChildProcess::Hold& hold) {
    Catalog catalog = varying();
    hold();
    for (int i = 0; i < 20; ++i) catalog.add({"b" + std::to_string(i), "A"}, sample_identity());
  });
  Catalog catalog = varying();
  other.go_on();
  for (int i = 0; i < 20; ++i) catalog.add({"a" + std::to_string(i), "A"}, sample_identity());
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(varying().places().size(), 40U);
}

TEST_F(CatalogTest, APlaceThatCouldNotBeEnteredIsEnteredByTheNextTry) {
  Catalog catalog = varying_with({{"one", "A"}});
  {
    const CallWatch watch([](Call call) { return call == Call::sync ? EIO : 0; });
    EXPECT_THROW(catalog.add({"two", "A"}, sample_identity()), Error);
  }
  catalog.add({"two", "A"}, sample_identity());
  EXPECT_THAT(varying().places(), ElementsAre(Place{"one", "A"}, Place{"two", "A"}));
  EXPECT_THAT(names(), ElementsAre(Catalog::kFileName));
}

TEST_F(CatalogTest, WhatCannotBeALineIsRefused) {
  Catalog catalog = varying();
  for (const Place& place : {Place{"a\tb", "A"}, Place{"a\nb", "A"}, Place{"a", "A\nb\tA"}}) {
    expect_error(ErrorCode::invalid_argument, {"line ends cannot be kept"},
                 [&] { catalog.add(place, sample_identity()); });
  }
  EXPECT_FALSE(exists(Catalog::kFileName));
}

TEST_F(CatalogTest, ADamagedCatalogIsRefusedByLine) {
  put(Catalog::kFileName, "one\tA\nno tab here\n");
  expect_error(ErrorCode::damaged, {Catalog::kFileName, "line 2"}, [&] { varying(); });
  put(Catalog::kFileName, "");
  EXPECT_THAT(varying().places(), IsEmpty());
  PosixFile::open_for_writing(at(Catalog::kFileName)).truncate(17 << 20);
  expect_error(ErrorCode::damaged, {Catalog::kFileName, "more than a catalog"}, [&] { varying(); });
}

}  // namespace
}  // namespace cairn::storage
