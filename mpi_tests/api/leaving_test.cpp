// The training loop ends before its time: a signal, the time limit, an exception on all ranks, an
// exception on one. What all ranks do, what is saved, and what a restart makes of it.
#include <gmock/gmock.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "api/leaving.hpp"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace cairn::test
