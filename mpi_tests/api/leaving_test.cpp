// The training loop ends before its time: a signal, the time limit, an exception on all ranks, an
// exception on one. What all ranks do, what is saved, and what a restart makes of it.
#include <gmock/gmock.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "api/training.hpp"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

/// What Cairn says about the end.
struct Witness : Listener {
  void stopping(const Event&, std::string_view why) override { reasons.emplace_back(why); }
  void skipped(const Event& event, std::string_view why) override {
    passed_over.push_back(event.path.string() + ": " + std::string(why));
  }
  void failed(const Event&, const Error&) override { ++failures; }
  void committed(const Event&) override { ++commits; }
  std::vector<std::string> reasons;
  std::vector<std::string> passed_over;
  int failures = 0;
  int commits = 0;
};

class Leaving : public Training {
 protected:
  CheckpointSettings leaving() {
    CheckpointSettings settings{.save_checkpoint_steps = 1000,
                                .keep_checkpoint_max = 2,
                                .exception_save = true,
                                .exception_save_timeout = std::chrono::seconds{20},
                                .listener = &witness_};
    settings.write.deadline = std::chrono::seconds{60};
    return settings;
  }
  /// A step of a program that says when it changes values.
  Next step(ModelCheckpoint& checkpoint, std::uint64_t step) {
    checkpoint.before_update();
    train_to(step);
    return checkpoint.step_end(step, state_);
  }
  /// Trains until told to stop; the last step.
  std::uint64_t until_stopped(ModelCheckpoint& checkpoint, std::uint64_t from) {
    for (std::uint64_t n = from; n < from + 10; ++n) {
      if (step(checkpoint, n) == Next::stop) return n;
    }
    ADD_FAILURE() << "nobody said stop";
    return 0;
  }
  [[nodiscard]] std::vector<std::string> checkpoints() const {
    std::vector<std::string> all = names();
    std::erase_if(all, [](const std::string& name) { return name.starts_with("."); });
    return all;
  }
  std::optional<Restored> restored(CheckpointSettings settings = {},
                                   const LoadOptions& options = {}) {
    settings.listener = &witness_;
    ModelCheckpoint checkpoint = make(std::move(settings));
    spoil();
    return checkpoint.restore(state_, options);
  }

  Witness witness_;
};

// ---- Signals

TEST_F(Leaving, SignalToOneRankThenAllSaveABreakpointAndStop) {
  ModelCheckpoint checkpoint = make(leaving());
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  if (rank() == ranks() - 1) std::raise(SIGUSR1);
  EXPECT_EQ(step(checkpoint, 2), Next::go_on);
  // The vote of step 2 said so.
  EXPECT_EQ(step(checkpoint, 3), Next::stop);
  EXPECT_EQ(witness_.reasons, std::vector<std::string>{"SIGUSR1"});
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_3_breakpoint.h5"});
  checkpoint.end(3, state_);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_3_breakpoint.h5"});
  EXPECT_EQ(step(checkpoint, 4), Next::stop) << "stopped once is stopped";
  EXPECT_EQ(witness_.commits, 1);
  expect_newest(checkpoint, 3);
}

TEST_F(Leaving, EverySignalThatAsksIsHeard) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    {
      ModelCheckpoint checkpoint = make(leaving());
      std::raise(signal);
      EXPECT_EQ(until_stopped(checkpoint, 1), 2U) << strsignal(signal);
    }
    on_root([this] { std::filesystem::remove(path("run-1_2_breakpoint.h5")); });
  }
}

TEST_F(Leaving, SignalWhileASaveIsUnderWayThenBothAreThere) {
  CheckpointSettings settings = leaving();
  settings.async_save = true;
  settings.save_checkpoint_steps = 2;
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  std::raise(SIGTERM);
  EXPECT_EQ(step(checkpoint, 2), Next::go_on);
  EXPECT_EQ(step(checkpoint, 3), Next::stop);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"run-1_2.h5", "run-1_3_breakpoint.h5"}));
  expect_newest(checkpoint, 3);
}

TEST_F(Leaving, WithoutExceptionSaveASignalIsNotOurs) {
  struct sigaction now {};
  {
    CheckpointSettings settings = leaving();
    settings.exception_save = false;
    ModelCheckpoint checkpoint = make(settings);
    ::sigaction(SIGUSR1, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
  }
  {
    ModelCheckpoint checkpoint = make(leaving());
    ::sigaction(SIGUSR1, nullptr, &now);
    EXPECT_NE(now.sa_handler, SIG_DFL);
  }
  ::sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL) << "what was there is there again";
}

int calls_of_the_programs_handler = 0;

TEST_F(Leaving, HandlersOfTheProgramAreCalledTooAndWhatItIgnoresStaysIgnored) {
  struct sigaction handler {};
  handler.sa_handler = [](int) { ++calls_of_the_programs_handler; };
  struct sigaction before {};
  ::sigaction(SIGUSR2, &handler, &before);
  std::signal(SIGUSR1, SIG_IGN);
  {
    ModelCheckpoint checkpoint = make(leaving());
    std::raise(SIGUSR1);
    EXPECT_EQ(step(checkpoint, 1), Next::go_on);
    EXPECT_EQ(step(checkpoint, 2), Next::go_on);
    std::raise(SIGUSR2);
    EXPECT_EQ(calls_of_the_programs_handler, 1);
    EXPECT_EQ(until_stopped(checkpoint, 3), 4U);
  }
  std::raise(SIGUSR2);
  EXPECT_EQ(calls_of_the_programs_handler, 2);
  ::sigaction(SIGUSR2, &before, nullptr);
  std::signal(SIGUSR1, SIG_DFL);
}

TEST_F(Leaving, HandlersThatTheProgramTookAwayThenTheNextObjectWatchesAgain) {
  {
    const ModelCheckpoint first = make(leaving());
    std::signal(SIGUSR1, SIG_DFL);
  }
  ModelCheckpoint second = make(leaving());
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  ASSERT_TRUE((now.sa_flags & SA_SIGINFO) != 0) << "the signal would end the process";
  std::raise(SIGUSR1);
  EXPECT_EQ(until_stopped(second, 1), 2U);
}

TEST_F(Leaving, ForkedChildThenASignalEndsIt) {
  const ModelCheckpoint checkpoint = make(leaving());
  const pid_t child = ::fork();
  if (child == 0) {
    std::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

TEST_F(Leaving, BreakpointIsNeverDeletedByRetention) {
  CheckpointSettings settings = leaving();
  settings.save_checkpoint_steps = 1;
  settings.keep_checkpoint_max = 1;
  {
    ModelCheckpoint checkpoint = make(settings);
    std::raise(SIGUSR1);
    EXPECT_EQ(until_stopped(checkpoint, 1), 2U);
  }
  ModelCheckpoint checkpoint = make(settings);
  ASSERT_TRUE(checkpoint.restore(state_).has_value());
  for (std::uint64_t n = 3; n <= 6; ++n) EXPECT_EQ(step(checkpoint, n), Next::go_on);
  checkpoint.end(6, state_);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"run-1_2_breakpoint.h5", "run-1_6.h5"}));
}

// ---- The time limit

class TimeLimit : public Leaving {
 protected:
  CheckpointSettings limited(bool asynchronous) {
    CheckpointSettings settings{.save_checkpoint_steps = 2, .async_save = asynchronous};
    settings.clock = [this] { return now_; };
    settings.stop_before = now_ + std::chrono::seconds{100};
    settings.listener = &witness_;
    return settings;
  }
  Time now_{std::chrono::seconds{1'700'000'000}};
};

TEST_F(TimeLimit, ComesNearThenACheckpointLikeAnyOtherAndStop) {
  for (const bool asynchronous : {false, true}) {
    now_ = Time{std::chrono::seconds{1'700'000'000}};
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, asynchronous ? "async" : "run", directory(),
                               limited(asynchronous));
    for (std::uint64_t n = 1; n <= 4; ++n) {
      EXPECT_EQ(step(checkpoint, n), Next::go_on);
      now_ += std::chrono::seconds{10};
    }
    now_ += std::chrono::seconds{59};  // one second left
    EXPECT_EQ(step(checkpoint, 5), Next::go_on);
    EXPECT_EQ(step(checkpoint, 6), Next::stop);
    EXPECT_EQ(witness_.reasons.back(), "the time limit is near");
    ASSERT_TRUE(checkpoint.latest().has_value());
    EXPECT_EQ(checkpoint.latest()->filename(), asynchronous ? "async-1_6.h5" : "run-1_6.h5");
    expect_newest(checkpoint, 6);
  }
}

// ---- Exceptions on all ranks

TEST_F(Leaving, ExceptionOnAllRanksThenOneBreakpointAndItGoesOn) {
  ModelCheckpoint checkpoint = make(leaving());
  const auto loop = [&] {
    static_cast<void>(step(checkpoint, 1));
    static_cast<void>(step(checkpoint, 2));
    throw std::out_of_range("the loss is not a number");
  };
  EXPECT_THROW(checkpoint.guard(state_, loop), std::out_of_range);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_2_breakpoint.h5"});
  expect_newest(checkpoint, 2);
  // The object is whole: a program may go back and try again.
  spoil();
  const auto back = checkpoint.restore(state_);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 2U);
  EXPECT_EQ(step(checkpoint, 3), Next::go_on);
  EXPECT_THROW(checkpoint.guard(state_, [] { throw std::out_of_range("again"); }),
               std::out_of_range);
  EXPECT_EQ(checkpoints(),
            (std::vector<std::string>{"run-1_2_breakpoint.h5", "run-1_3_breakpoint.h5"}));
}

TEST_F(Leaving, ScopeThatIsLeftByAnExceptionIsALoopThatIs) {
  ModelCheckpoint checkpoint = make(leaving());
  try {
    const ExceptionGuard guard(checkpoint, state_);
    static_cast<void>(step(checkpoint, 1));
    throw std::runtime_error("no more data");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_1_breakpoint.h5"});
  { const ExceptionGuard guard(checkpoint, state_); }
  EXPECT_EQ(witness_.commits, 1);
}

TEST_F(Leaving, StepThatIsSavedAlreadyIsNotSavedTwice) {
  ModelCheckpoint checkpoint = make(leaving());
  EXPECT_THROW(checkpoint.guard(state_,
                                [&] {
                                  static_cast<void>(step(checkpoint, 1));
                                  checkpoint.save(1, state_);
                                  throw std::runtime_error("no more data");
                                }),
               std::runtime_error);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_1.h5"});
}

TEST_F(Leaving, ExceptionInTheMiddleOfAnUpdateThenNothingIsSavedAndTheListenerHears) {
  CheckpointSettings settings = leaving();
  settings.save_checkpoint_steps = 2;
  {
    ModelCheckpoint checkpoint = make(settings);
    EXPECT_THROW(checkpoint.guard(state_,
                                  [&] {
                                    for (std::uint64_t n = 1; n <= 3; ++n) {
                                      static_cast<void>(step(checkpoint, n));
                                    }
                                    checkpoint.before_update();
                                    spoil();
                                    throw std::runtime_error("half of the values are new");
                                  }),
                 std::runtime_error);
  }
  ASSERT_EQ(witness_.passed_over.size(), 1U);
  EXPECT_THAT(witness_.passed_over[0], HasSubstr("being updated"));
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_2.h5"});
  expect_restorable(2);
}

TEST_F(Leaving, ExceptionWhileASaveIsUnderWayThenBothAreThere) {
  CheckpointSettings settings = leaving();
  settings.async_save = true;
  settings.save_checkpoint_steps = 2;
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_THROW(checkpoint.guard(state_,
                                [&] {
                                  static_cast<void>(step(checkpoint, 1));
                                  static_cast<void>(step(checkpoint, 2));
                                  static_cast<void>(step(checkpoint, 3));
                                  throw std::runtime_error("no more data");
                                }),
               std::runtime_error);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"run-1_2.h5", "run-1_3_breakpoint.h5"}));
  expect_newest(checkpoint, 3);
}

TEST_F(Leaving, BreakpointHonoursEverySetting) {
  for (const bool integrated : {true, false}) {
    for (const bool sealed : {true, false}) {
      CheckpointSettings settings = leaving();
      settings.integrated_save = integrated;
      settings.crc_check = !sealed;
      if (sealed) settings.enc_key = Key::from_hex(std::string(64, 'a'));
      settings.append_info = {"step_num", AppendDict{{"note", "the last words"}}};
      const std::string name = std::string(integrated ? "whole" : "parts") + (sealed ? "x" : "");
      ModelCheckpoint checkpoint(MPI_COMM_WORLD, name, directory(), settings);
      EXPECT_THROW(checkpoint.guard(state_,
                                    [&] {
                                      static_cast<void>(step(checkpoint, 1));
                                      throw std::runtime_error("no more data");
                                    }),
                   std::runtime_error);
      const std::string suffix = integrated ? (sealed ? ".h5.enc" : ".h5") : ".shards";
      EXPECT_EQ(checkpoint.latest(), path(name + "-1_1_breakpoint" + suffix));
      spoil();
      const auto back = checkpoint.restore(state_);
      ASSERT_TRUE(back.has_value());
      EXPECT_EQ(wrong(1), 0U);
      EXPECT_EQ(back->verified, sealed ? Verified::seal : Verified::crc);
      EXPECT_EQ(std::get<std::string>(back->append_info.at("note")), "the last words");
      EXPECT_EQ(std::get<std::int64_t>(back->append_info.at("step_num")), 1);
    }
  }
}

TEST_F(Leaving, ProgramThatDoesNotMarkUpdatesThenNobodyKnowsAndTheBreakpointIsForWhoAsks) {
  ModelCheckpoint checkpoint = make(leaving());
  const auto loop = [&] {
    for (std::uint64_t n = 1; n <= 3; ++n) {
      train_to(n);
      if (n == 3) throw std::runtime_error("in the middle, for all we know");
      static_cast<void>(checkpoint.step_end(n, state_));
    }
  };
  EXPECT_THROW(checkpoint.guard(state_, loop), std::runtime_error);
  std::vector<std::string> expected;
  for (int r = 0; r < ranks(); ++r) {
    expected.push_back("run-1_2_breakpoint.rank" + std::to_string(r) + "of" +
                       std::to_string(ranks()) + ".shard");
  }
  EXPECT_EQ(checkpoints(), expected);
  EXPECT_EQ(checkpoint.step_end(3, state_), Next::go_on) << "all are here, and may go on";
  const SaveReport report = checkpoint.save(3, state_);
  EXPECT_EQ(report.path, path("run-1_3.h5"));
}

TEST_F(Leaving, RestoreThatFailsHalfwayLeavesNothingThatIsSaved) {
  CheckpointSettings settings = leaving();
  settings.crc_check = true;
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  checkpoint.save(1, state_);
  EXPECT_EQ(step(checkpoint, 2), Next::go_on);
  on_root([this] {
    std::fstream file(path("run-1_1.h5"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path("run-1_1.h5")) / 2));
    file.write("spoilt", 6);
  });
  EXPECT_THROW(checkpoint.guard(state_, [&] { checkpoint.restore(state_); }), Error);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_1.h5"});
  EXPECT_THAT(witness_.passed_over.back(), HasSubstr("while values were being updated"));
}

TEST_F(Leaving, GuardInAGuardThenSavedOnce) {
  ModelCheckpoint checkpoint = make(leaving());
  const auto loop = [&] {
    static_cast<void>(step(checkpoint, 1));
    throw std::runtime_error("no more data");
  };
  EXPECT_THROW(checkpoint.guard(state_, [&] { checkpoint.guard(state_, loop); }),
               std::runtime_error);
  EXPECT_EQ(witness_.commits, 1);
}

TEST_F(Leaving, StopThatIsAgreedOnWhereTheStepThrowsThenTheNextStepStops) {
  CheckpointSettings settings = leaving();
  settings.save_checkpoint_steps = none;
  settings.save_checkpoint_seconds = 1000;
  bool is_broken = false;
  settings.clock = [&] {
    if (std::exchange(is_broken, false)) throw std::runtime_error("no time server");
    return Time{};
  };
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  if (rank() == ranks() - 1) std::raise(SIGUSR1);
  is_broken = true;  // for the vote of step 2
  EXPECT_EQ(step(checkpoint, 2), Next::go_on);
  expect_error([&] { static_cast<void>(step(checkpoint, 3)); }, ErrorCode::io, {"no time server"});
  EXPECT_EQ(step(checkpoint, 4), Next::stop);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"run-1_4_breakpoint.h5"});
}

// ---- Ranks that are left alone

class Alone : public Leaving {
 protected:
  /// Trains two steps, the first of which is saved; then every rank leaves by itself: rank 0 first,
  /// which waits for nobody, and when it is through all the others.
  void leave_one_by_one(CheckpointSettings settings, bool marked = true) {
    settings.exception_save_timeout = std::chrono::seconds{0};
    ModelCheckpoint checkpoint = make(settings);
    for (std::uint64_t n = 1; n <= 2; ++n) {
      if (marked) checkpoint.before_update();
      train_to(n);
      EXPECT_EQ(checkpoint.step_end(n, state_), Next::go_on);
      if (n == 1) checkpoint.save(1, state_);
    }
    if (rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.guard(state_, [] { throw std::runtime_error("alone"); }),
                 std::runtime_error);
    if (rank() == 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.save(3, state_), Error) << "the object is broken";
  }
  /// Goes on from the checkpoint of step 1, and again every rank leaves by itself after step 2.
  void leave_again(CheckpointSettings settings) {
    settings.exception_save_timeout = std::chrono::seconds{0};
    ModelCheckpoint checkpoint = make(settings);
    ASSERT_TRUE(checkpoint.restore(state_).has_value());
    EXPECT_EQ(step(checkpoint, 2), Next::go_on);
    if (rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.guard(state_, [] { throw std::runtime_error("alone"); }),
                 std::runtime_error);
    if (rank() == 0) MPI_Barrier(MPI_COMM_WORLD);
  }
  [[nodiscard]] std::string file_of(int rank, const std::string& suffix = ".shard") const {
    return "run-1_2_breakpoint.rank" + std::to_string(rank) + "of" + std::to_string(ranks()) +
           suffix;
  }
  [[nodiscard]] std::string set(const std::string& suffix = ".shard") const {
    return "run-1_2_breakpoint.rank*of" + std::to_string(ranks()) + suffix;
  }
};

TEST_F(Alone, EveryRankAtTheSameStepThenRestorePutsThemTogether) {
  if (ranks() == 1) return;  // a rank without others meets them all
  leave_one_by_one(leaving());
  std::vector<std::string> expected{"run-1_1.h5"};
  for (int r = 0; r < ranks(); ++r) expected.push_back(file_of(r));
  EXPECT_EQ(checkpoints(), expected);
  const auto back = restored();
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 2U);
  EXPECT_EQ(back->path, path(set()));
  EXPECT_TRUE(back->skipped.empty());
  EXPECT_EQ(wrong(2), 0U);
}

TEST_F(Alone, ProtectedAsTheSettingsSay) {
  if (ranks() == 1) return;
  for (const bool sealed : {false, true}) {
    CheckpointSettings settings = leaving();
    settings.crc_check = !sealed;
    if (sealed) settings.enc_key = Key::from_hex(std::string(64, 'a'));
    settings.append_info = {AppendDict{{"note", "the last words"}}};
    leave_one_by_one(settings);
    const auto back = restored(settings);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->path, path(set(sealed ? ".shard.enc" : ".shard")));
    EXPECT_EQ(back->verified, sealed ? Verified::seal : Verified::crc);
    EXPECT_EQ(std::get<std::string>(back->append_info.at("note")), "the last words");
    EXPECT_EQ(wrong(2), 0U);
    if (sealed) {
      settings.enc_key = Key::from_hex(std::string(64, 'b'));
      expect_error([&] { restored(settings); }, ErrorCode::wrong_key, {});
    }
    on_root([this] {
      for (const auto& entry : std::filesystem::directory_iterator(directory())) {
        std::filesystem::remove(entry.path());
      }
    });
  }
}

TEST_F(Alone, RankThatIsMissingThenThePeriodicOneIsTakenAndTheRestLeftAlone) {
  if (ranks() == 1) return;
  leave_one_by_one(leaving());
  on_root([this] { std::filesystem::remove(path(file_of(1))); });
  const std::vector<std::string> before = checkpoints();
  const auto back = restored();
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 1U);
  EXPECT_EQ(wrong(1), 0U);
  ASSERT_EQ(back->skipped.size(), 1U);
  EXPECT_EQ(back->skipped[0].path, path(set()));
  EXPECT_TRUE(back->skipped[0].saved_alone);
  EXPECT_THAT(back->skipped[0].reason, HasSubstr("not the whole of"));
  EXPECT_THAT(back->skipped[0].reason, HasSubstr("rows"));
  EXPECT_EQ(checkpoints(), before);
}

TEST_F(Alone, ReplicasOfAMissingRankAreEnough) {
  if (ranks() == 1) return;
  std::vector<float> values(1000);
  State replicated;
  replicated.add("everywhere", std::span(values), whole({1000}));
  const auto fill = [&](float v) { std::ranges::fill(values, v); };
  {
    CheckpointSettings settings = leaving();
    settings.exception_save_timeout = std::chrono::seconds{0};
    ModelCheckpoint checkpoint = make(settings);
    checkpoint.before_update();
    fill(7);
    EXPECT_EQ(checkpoint.step_end(1, replicated), Next::go_on);
    if (rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.guard(replicated, [] { throw std::runtime_error("alone"); }),
                 std::runtime_error);
    if (rank() == 0) MPI_Barrier(MPI_COMM_WORLD);
  }
  on_root([this] {
    std::filesystem::remove(path("run-1_1_breakpoint.rank0of" + std::to_string(ranks()) + ".shard"));
  });
  fill(0);
  ModelCheckpoint checkpoint = make(leaving());
  const auto back = checkpoint.restore(replicated);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 1U);
  EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return v == 7; }));
}

TEST_F(Alone, ProgramThatDoesNotMarkUpdatesThenOnlyWhereAskedFor) {
  if (ranks() == 1) return;
  leave_one_by_one(leaving(), false);
  const auto careful = restored();
  ASSERT_TRUE(careful.has_value());
  EXPECT_EQ(careful->step, 1U);
  EXPECT_THAT(careful->skipped.at(0).reason, HasSubstr("before_update"));
  const auto asked = restored({}, {.accept_unmarked_breakpoint = true});
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->step, 2U);
  EXPECT_EQ(wrong(2), 0U);
}

TEST_F(Alone, FileOfAnotherRunOrDamagedIsNotCounted) {
  if (ranks() == 1) return;
  leave_one_by_one(leaving());
  on_root([this] {
    std::fstream file(path(file_of(1)), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);
    file.put('x');
  });
  const auto back = restored();
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 1U);
  EXPECT_EQ(back->skipped.size(), 1U);
}

TEST_F(Alone, AttemptsThatShareTheRunIdThenTheirFilesAreNotMixed) {
  if (ranks() == 1) return;
  CheckpointSettings settings = leaving();
  settings.run_id = RunId{std::byte{7}};
  leave_one_by_one(settings);
  on_root([this] {
    std::filesystem::rename(path(file_of(0)), path("of the first attempt"));
    for (int r = 1; r < ranks(); ++r) std::filesystem::remove(path(file_of(r)));
  });
  {
    // The second saves at step 1 again, so it is one ahead of the first.
    ModelCheckpoint checkpoint = make(settings);
    ASSERT_TRUE(checkpoint.restore(state_).has_value());
    checkpoint.save(1, state_);
    checkpoint.save(1, state_);
  }
  leave_again(settings);
  on_root([this] { std::filesystem::rename(path("of the first attempt"), path(file_of(0))); });
  const auto back = restored();
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 1U);
  EXPECT_EQ(back->skipped.size(), 1U);
}

TEST_F(Alone, BeforeTheFirstSaveThenAFreshRunDoesNotMixWithIt) {
  if (ranks() == 1) return;
  CheckpointSettings settings = leaving();
  settings.exception_save_timeout = std::chrono::seconds{0};
  {
    ModelCheckpoint checkpoint = make(settings);
    EXPECT_EQ(step(checkpoint, 1), Next::go_on);
    if (rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.guard(state_, [] { throw std::runtime_error("alone"); }),
                 std::runtime_error);
    if (rank() == 0) MPI_Barrier(MPI_COMM_WORLD);
  }
  on_root([this] {
    std::filesystem::remove(path("run-1_1_breakpoint.rank0of" + std::to_string(ranks()) + ".shard"));
  });
  ModelCheckpoint checkpoint = make(leaving());
  EXPECT_FALSE(checkpoint.restore(state_).has_value()) << "not enough to be a checkpoint";
  expect_error([&] { checkpoint.restore(state_, {}, "run"); }, ErrorCode::not_found,
               {"\"run\"", "lone shards only"});
  checkpoint.save(1, state_);
  EXPECT_EQ(checkpoint.latest(), path("run_1-1_1.h5"));
}

TEST_F(Alone, RankThatGoesOnAfterAnErrorThenWhatItSavesBearsTheStepOfItsValues) {
  if (ranks() == 1) return;
  CheckpointSettings settings = leaving();
  settings.exception_save_timeout = std::chrono::seconds{0};
  ModelCheckpoint checkpoint = make(settings);
  train_to(1);
  EXPECT_EQ(checkpoint.step_end(1, state_), Next::go_on);
  const auto loop = [&] {
    if (rank() == ranks() - 1) throw std::runtime_error("only here");
    train_to(2);
    static_cast<void>(checkpoint.step_end(2, state_));  // the vote of step 1 had all voices
    train_to(3);
    EXPECT_THROW(static_cast<void>(checkpoint.step_end(3, state_)), Error);
    train_to(4);
    static_cast<void>(checkpoint.step_end(4, state_));
  };
  EXPECT_THROW(checkpoint.guard(state_, loop), std::exception);
  MPI_Barrier(MPI_COMM_WORLD);
  const std::string of = "of" + std::to_string(ranks()) + ".shard";
  for (int r = 0; r < ranks() - 1; ++r) {
    EXPECT_TRUE(std::filesystem::exists(path("run-1_4_breakpoint.rank" + std::to_string(r) + of)));
  }
}

TEST_F(Leaving, RankThatLeavesIsNamedToThoseWhoWaitForIt) {
  if (ranks() == 1) return;
  CheckpointSettings settings = leaving();
  settings.exception_save_timeout = std::chrono::seconds{20};
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(step(checkpoint, 1), Next::go_on);
  const auto loop = [&] {
    if (rank() == ranks() - 1) throw std::runtime_error("only here");
    for (std::uint64_t n = 2; n < 10; ++n) static_cast<void>(step(checkpoint, n));
  };
  try {
    checkpoint.guard(state_, loop);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(rank(), ranks() - 1);
    EXPECT_EQ(error.code(), ErrorCode::unresponsive);
    EXPECT_EQ(error.rank(), ranks() - 1);
    EXPECT_THAT(error.what(), HasSubstr("left the training loop by an exception, after step 1"));
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "only here");
  }
}

// ---- on_save_failure

class OnFailure : public Leaving {
 protected:
  CheckpointSettings after_failure(OnSaveFailure what) {
    CheckpointSettings settings{.save_checkpoint_steps = 2, .keep_checkpoint_max = 10};
    settings.on_save_failure = what;
    settings.listener = &witness_;
    return settings;
  }
  /// A file bears the directory's name.
  void spoil_directory() {
    on_root([this] {
      std::filesystem::rename(directory(), away());
      std::ofstream(directory()).put('x');
    });
  }
  void mend_directory() {
    on_root([this] {
      std::filesystem::remove_all(directory());
      std::filesystem::rename(away(), directory());
    });
  }
  [[nodiscard]] std::filesystem::path away() const { return directory().string() + ".away"; }
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

}  // namespace
}  // namespace cairn::test
