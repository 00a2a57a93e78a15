// Asynchronous saves that fail in the background, and lazy ones that are not given their time.
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "api/training.hpp"

namespace cairn::test {
namespace {

/// Runs something on rank 0 when a save begins to sync: in the background, at both levels of threads.
struct Saboteur : Listener {
  std::function<void()> sabotage;
  int failures = 0;
  int commits = 0;
  void phase(const Event& event, Phase phase) override {
    if (phase == Phase::syncing && event.rank == 0 && sabotage) std::exchange(sabotage, {})();
  }
  void failed(const Event&, const Error&) override { ++failures; }
  void committed(const Event&) override { ++commits; }
};

class AsyncFailure : public Training {
 protected:
  ModelCheckpoint make_watched(CheckpointSettings settings = async()) {
    settings.listener = &saboteur_;
    return make(std::move(settings));
  }
  void move_away() const { std::filesystem::rename(directory(), away()); }
  void move_back() const {
    on_root([this] {
      // What the next attempt made meanwhile, if anything.
      std::filesystem::remove_all(directory());
      std::filesystem::rename(away(), directory());
    });
  }
  [[nodiscard]] std::filesystem::path away() const { return directory().string() + ".away"; }

  Saboteur saboteur_;
};

TEST_F(AsyncFailure, DirectoryThatVanishesThenEveryRankHearsItOnceAndNothingOlderIsLost) {
  ModelCheckpoint checkpoint = make_watched();
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  saboteur_.sabotage = [this] { move_away(); };
  train(checkpoint, 2);
  expect_error([&] { static_cast<void>(checkpoint.wait()); }, ErrorCode::io,
               {directory().string(), "removed"});
  EXPECT_EQ(checkpoint.latest(), path("run-1_1.h5"));
  EXPECT_TRUE(checkpoint.wait());  // once
  EXPECT_EQ(saboteur_.failures, 1);
  move_back();
  train(checkpoint, 3);
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(checkpoint.latest(), path("run-1_3.h5"));
  EXPECT_EQ(saboteur_.commits, 2);
  on_root([this] { EXPECT_FALSE(std::filesystem::exists(path("run-1_2.h5"))); });
  expect_newest(checkpoint, 3);
}

TEST_F(AsyncFailure, StepThatIsDueHearsItAndTheNextStepSaves) {
  ModelCheckpoint checkpoint = make_watched();
  saboteur_.sabotage = [this] { move_away(); };
  train(checkpoint, 1);
  train_to(2);
  expect_error([&] { static_cast<void>(checkpoint.step_end(2, state_)); }, ErrorCode::io,
               {directory().string(), "removed"});
  move_back();
  EXPECT_EQ(train(checkpoint, 3), Next::go_on);
  EXPECT_TRUE(checkpoint.wait());
  expect_newest(checkpoint, 3);
}

TEST_F(AsyncFailure, EndSavesTheLastStepBeforeItTellsOfTheFailure) {
  ModelCheckpoint checkpoint = make_watched();
  saboteur_.sabotage = [this] {
    move_away();
    std::filesystem::create_directory(directory());  // the last step has a place again
  };
  train(checkpoint, 1);
  train_to(2);
  expect_error([&] { checkpoint.end(2, state_); }, ErrorCode::io, {directory().string(), "removed"});
  EXPECT_EQ(checkpoint.latest(), path("run-1_2.h5"));
  expect_newest(checkpoint, 2);
  on_root([this] { std::filesystem::remove_all(away()); });
}

TEST_F(AsyncFailure, DestructionTellsTheListener) {
  {
    ModelCheckpoint checkpoint = make_watched();
    saboteur_.sabotage = [this] { move_away(); };
    train(checkpoint, 1);
  }
  EXPECT_EQ(saboteur_.failures, 1);
  move_back();
}

/// A file may not grow beyond a limit, as on a full disk or with a quota, on one rank alone.
TEST_F(AsyncFailure, DiskThatIsFullOnOneRankThenAllHearOfItAndTheNextSaveSucceeds) {
  ModelCheckpoint checkpoint = make_watched();
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ::sigaction(SIGXFSZ, &ignore, &before);
  const struct rlimit small {std::size_t{64} << 10, old.rlim_max};
  if (rank() == ranks() - 1) ::setrlimit(RLIMIT_FSIZE, &small);
  expect_error(
      [&] {
        train(checkpoint, 2);
        static_cast<void>(checkpoint.wait());
      },
      ErrorCode::no_space, {directory().string()});
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::sigaction(SIGXFSZ, &before, nullptr);
  train(checkpoint, 3);
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(saboteur_.failures, 1);
  expect_newest(checkpoint, 3);
}

TEST_F(AsyncFailure, CallbackThatThrowsWhileValuesAreCapturedNamesItsRank) {
  bool broken = false;
  std::int32_t value = 5;
  state_.add("device", Slice{},
             Source::callbacks(
                 DType::int32,
                 [&](std::uint64_t, std::uint64_t, std::byte* out) {
                   if (broken) throw std::runtime_error("the device is gone");
                   std::memcpy(out, &value, sizeof value);
                 },
                 [&](std::uint64_t, std::uint64_t, const std::byte*) {}));
  ModelCheckpoint checkpoint = make_watched();
  train(checkpoint, 1);
  EXPECT_TRUE(checkpoint.wait());
  broken = true;
  expect_error(
      [&] {
        train(checkpoint, 2);
        static_cast<void>(checkpoint.wait());
      },
      ErrorCode::io, {"the device is gone"});
  broken = false;
  train(checkpoint, 3);
  EXPECT_TRUE(checkpoint.wait());
  EXPECT_EQ(checkpoint.latest(), path("run-1_3.h5"));
}

TEST_F(AsyncFailure, LazyCaptureBelowThreadMultipleIsRefusedWhereRanksExchangeValues) {
  if (is_multiple() || ranks() == 1) GTEST_SKIP() << "nothing to refuse";
  CheckpointSettings settings = async();
  settings.lazy_capture = true;
  ModelCheckpoint checkpoint = make_watched(settings);
  train_to(1);
  expect_error([&] { static_cast<void>(checkpoint.step_end(1, state_)); },
               ErrorCode::invalid_argument, {"lazy_capture", "MPI_THREAD_MULTIPLE", "shards"});
}

/// A tensor that is captured before the others, and only when it is allowed to.
class LazyCapture : public AsyncFailure {
 protected:
  LazyCapture() {
    early_.add("a first", Slice{},
               Source::callbacks(DType::int32, [this](std::uint64_t, std::uint64_t, std::byte* out) {
                 if (std::this_thread::get_id() != main_) gate_.pass();
                 std::memset(out, 0, sizeof(std::int32_t));
               }));
    values_.assign(100, 1.0);
    early_.add("weights", std::span(values_), whole({100}));
  }
  static CheckpointSettings lazy(bool check) {
    CheckpointSettings settings = async();
    settings.lazy_capture = true;
    settings.check_capture = check;
    settings.integrated_save = is_multiple();  // shards where that is what lazy capture carries
    return settings;
  }
  [[nodiscard]] double saved_value(const ModelCheckpoint& checkpoint) const {
    double first = 0;
    State into;
    into.add("weights", std::span(&first, 1), Slice{{100}, {0}, {1}});
    LoadOptions options;
    options.strict = false;
    load(MPI_COMM_WORLD, checkpoint.latest().value(), into, options);
    return first;
  }

  const std::thread::id main_ = std::this_thread::get_id();
  Gate gate_;
  State early_;
  std::vector<double> values_;
};

TEST_F(LazyCapture, StepEndDoesNotWaitForItAndBeforeUpdateDoes) {
  ModelCheckpoint checkpoint = make_watched(lazy(false));
  static_cast<void>(checkpoint.step_end(1, early_));  // returns though the gate is closed
  std::thread opener([this] { gate_.open(); });
  checkpoint.before_update();
  std::ranges::fill(values_, 2.0);
  EXPECT_TRUE(checkpoint.wait());
  opener.join();
  EXPECT_EQ(saved_value(checkpoint), 1.0);
}

TEST_F(LazyCapture, TensorThatChangesTooEarlyIsNamedByTheCheckAndNothingIsSaved) {
  ModelCheckpoint checkpoint = make_watched(lazy(true));
  static_cast<void>(checkpoint.step_end(1, early_));
  if (rank() == ranks() - 1) values_[99] = 3.0;  // without before_update
  gate_.open();
  const std::string culprit = ranks() == 1 ? "" : "rank " + std::to_string(ranks() - 1);
  expect_error([&] { static_cast<void>(checkpoint.wait()); }, ErrorCode::invalid_argument,
               {"\"weights\"", "changed", "before_update", culprit});
  EXPECT_EQ(checkpoint.latest(), std::nullopt);
}

}  // namespace
}  // namespace cairn::test
