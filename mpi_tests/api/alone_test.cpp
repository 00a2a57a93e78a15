// Ranks that leave the training loop without the others: what each saves by itself, and what a restart
// makes of it.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <utility>

#include "api/leaving.hpp"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

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

TEST_F(Alone, WritersThatNeedAllRanksThenEachWritesByItselfAllTheSame) {
  if (ranks() == 1) return;
  for (const Writer writer : {Writer::hdf5, Writer::mpiio}) {
    CheckpointSettings settings = leaving();
    settings.write.writer = writer;
    leave_one_by_one(settings);
    const auto back = restored();
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->path, path(set())) << to_string(writer);
    EXPECT_EQ(wrong(2), 0U);
    MPI_Barrier(MPI_COMM_WORLD);
    on_root([this] {
      for (const auto& entry : std::filesystem::directory_iterator(directory())) {
        std::filesystem::remove(entry.path());
      }
    });
  }
}

TEST_F(Alone, StructureThatIsNewAndWhoseFirstSaveFailedThenRestorePutsThemTogether) {
  if (ranks() == 1) return;
  std::vector<float> values(1000);
  CheckpointSettings settings = leaving();
  settings.save_checkpoint_steps = 1;
  settings.exception_save_timeout = std::chrono::seconds{0};
  {
    ModelCheckpoint checkpoint = make(settings);
    EXPECT_EQ(step(checkpoint, 1), Next::go_on);
    state_.add("new", std::span(values), whole({1000}));
    spoil_directory();
    expect_error([&] { static_cast<void>(step(checkpoint, 2)); }, ErrorCode::io, {});
    mend_directory();
    EXPECT_EQ(step(checkpoint, 3), Next::go_on);  // the plan is known by then
    checkpoint.before_update();
    train_to(4);
    std::ranges::fill(values, 4.0F);
    spoil_directory();
    EXPECT_THROW(static_cast<void>(checkpoint.step_end(4, state_)), Error);
    mend_directory();
    if (rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(checkpoint.guard(state_, [] { throw std::runtime_error("alone"); }),
                 std::runtime_error);
    if (rank() == 0) MPI_Barrier(MPI_COMM_WORLD);
  }
  std::ranges::fill(values, 0.0F);
  const auto back = restored();
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 4U);
  EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return v == 4; }));
}

TEST_F(Alone, LeftTogetherWhileASaveWasUnderWayThenItsSetIsTheNewest) {
  CheckpointSettings settings = leaving();
  settings.async_save = true;
  settings.save_checkpoint_steps = 2;
  std::optional<ModelCheckpoint> checkpoint(make(settings));
  for (std::uint64_t n = 1; n <= 3; ++n) {
    train_to(n);
    EXPECT_EQ(checkpoint->step_end(n, state_), Next::go_on);
  }
  EXPECT_THROW(checkpoint->guard(state_, [] { throw std::runtime_error("for all we know"); }),
               std::runtime_error);
  const auto back = checkpoint->restore(state_, {.accept_unmarked_breakpoint = true});
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 3U);
  train_to(4);
  checkpoint->save(4, state_);
  checkpoint.reset();
  const auto newest = restored({}, {.accept_unmarked_breakpoint = true});
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->step, 4U);
}

TEST_F(Alone, LeftTogetherTwiceWithoutMarksThenTheNewerSetIsFoundBySameObjectToo) {
  std::optional<ModelCheckpoint> checkpoint(make(leaving()));
  const auto leave_after = [&](std::uint64_t n) {
    train_to(n);
    EXPECT_EQ(checkpoint->step_end(n, state_), Next::go_on);
    EXPECT_THROW(checkpoint->guard(state_, [] { throw std::runtime_error("for all we know"); }),
                 std::runtime_error);
  };
  train_to(1);
  checkpoint->save(1, state_);
  leave_after(2);
  leave_after(3);
  spoil();
  const auto back = checkpoint->restore(state_, {.accept_unmarked_breakpoint = true});
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->step, 3U);
  EXPECT_EQ(wrong(3), 0U);
  EXPECT_EQ(checkpoint->step_end(4, state_), Next::go_on);
  train_to(5);
  checkpoint->save(5, state_);
  checkpoint.reset();
  const auto other = restored({}, {.accept_unmarked_breakpoint = true});
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->step, 5U);
}

TEST_F(Leaving, ExceptionOfItsOwnWhileTheLastStepsIsHandledThenNobodyKnows) {
  CheckpointSettings settings = leaving();
  settings.save_checkpoint_steps = none;
  settings.save_checkpoint_seconds = 1000;
  bool is_broken = false;
  settings.clock = [&] {
    if (std::exchange(is_broken, false)) throw std::runtime_error("no time server");
    return Time{};
  };
  ModelCheckpoint checkpoint = make(settings);
  EXPECT_EQ(checkpoint.step_end(1, state_), Next::go_on);
  is_broken = true;  // for the vote of step 2
  EXPECT_EQ(checkpoint.step_end(2, state_), Next::go_on);
  const auto handle = [&] {
    try {
      static_cast<void>(checkpoint.step_end(3, state_));
    } catch (const Error&) {
      const ExceptionGuard guard(checkpoint, state_);
      spoil();
      throw std::runtime_error("values have changed by now");
    }
  };
  EXPECT_THROW(handle(), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(path("run-1_3_breakpoint.h5")));
  EXPECT_TRUE(std::filesystem::exists(
      path("run-1_3_breakpoint.rank0of" + std::to_string(ranks()) + ".shard")));
}

TEST_F(Leaving, ObjectGoesOnOneRankWhileNothingIsUnderWayThenItWaitsForNobody) {
  CheckpointSettings settings = leaving();
  settings.exception_save = false;
  settings.write.deadline = std::chrono::seconds{20};
  std::optional<ModelCheckpoint> checkpoint(make(settings));
  EXPECT_EQ(step(*checkpoint, 1), Next::go_on);
  if (rank() == 0) checkpoint.reset();
  MPI_Barrier(MPI_COMM_WORLD);  // where the others are meanwhile
  checkpoint.reset();
  EXPECT_EQ(witness_.failures, 0);
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

}  // namespace
}  // namespace cairn::test
