// Disks that are full, vanish, or turn read-only while Cairn saves.
#include <numeric>
#include <set>

#include "api/world.hpp"
#include "faults/small_disk.hpp"

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

/// Runs something on rank 0 when it enters a phase; notes the phases.
struct AtPhase : Listener {
  std::optional<Phase> when;
  std::function<void()> then;
  std::set<Phase> seen;
  void phase(const Event& event, Phase phase) override {
    seen.insert(phase);
    if (event.rank == 0 && when == phase && then) std::exchange(then, {})();
  }
};

/// A state of 22 MiB: the small disk holds two, and not a third.
class DiskTest : public test::World {
 protected:
  DiskTest() : slice_(split({kRows, kColumns}, 0, rank(), ranks())) {
    values_.resize(slice_.extent[0] * kColumns);
    state_.add("values", std::span(values_), slice_).add("step", step_);
  }

  /// Skips, saying so, where there can be no such disk.
  bool mount(SmallDisk::Type type) {
    if (rank() == 0) disk_ = std::make_unique<SmallDisk>(type, path("disk"));
    const std::string missing = test::share(rank() == 0 ? disk_->missing() : "");
    if (missing.empty()) return true;
    if (rank() == 0) {
      std::printf("SKIPPED, no small disk: %s. Nobody has tried what a full or failing disk does.\n",
                  missing.c_str());
    }
    return false;
  }

  void become(std::uint64_t step) {
    step_ = static_cast<std::int64_t>(step);
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = value(i);
  }
  void expect_restored(std::uint64_t step, bool shards) {
    MPI_Barrier(MPI_COMM_WORLD);
    std::ranges::fill(values_, -1.0F);
    step_ = -1;
    ModelCheckpoint checkpoint = make(shards);
    const auto restored = checkpoint.restore(state_);
    ASSERT_TRUE(restored.has_value());
    EXPECT_EQ(restored->step, step);
    EXPECT_TRUE(restored->skipped.empty());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values_.size(); ++i) wrong += values_[i] == value(i) ? 0 : 1;
    EXPECT_EQ(wrong, 0U);
  }
  [[nodiscard]] fs::path place() const { return path("disk") / "checkpoints"; }
  ModelCheckpoint make(bool shards, Listener* listener = nullptr, bool in_background = false) {
    CheckpointSettings settings{.keep_checkpoint_max = 1000,
                                .integrated_save = !shards,
                                .async_save = in_background,
                                .listener = listener};
    settings.write.block_bytes = std::size_t{1} << 20;
    settings.write.deadline = std::chrono::seconds{60};
    return {MPI_COMM_WORLD, "run", place(), settings};
  }
  void save(ModelCheckpoint& checkpoint, std::uint64_t step) {
    become(step);
    checkpoint.save(step, state_);
  }
  /// All but locks, on every rank.
  [[nodiscard]] std::string entries() const {
    MPI_Barrier(MPI_COMM_WORLD);
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(place())) {
      names.insert(entry.path().filename().string());
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return std::accumulate(names.begin(), names.end(), std::string(),
                           [](const std::string& all, const std::string& name) {
                             return name.starts_with(".lock") ? all : all + name + " ";
                           });
  }

  std::unique_ptr<SmallDisk> disk_;  ///< rank 0 only
  State state_;

 private:
  static constexpr std::uint64_t kRows = 5632;
  static constexpr std::uint64_t kColumns = 1024;

  [[nodiscard]] float value(std::size_t i) const {
    const std::uint64_t place = slice_.offset[0] * kColumns + i;
    return static_cast<float>((place * 31 + static_cast<std::uint64_t>(step_) * 7919) % 1'000'003);
  }

  Slice slice_;
  std::vector<float> values_;
  std::int64_t step_ = 0;
};

struct Kind {
  SmallDisk::Type type;
  bool shards;
};

class FullDisk : public DiskTest, public ::testing::WithParamInterface<Kind> {
 protected:
  [[nodiscard]] static std::string name(std::uint64_t step) {
    return "run-1_" + std::to_string(step) + (GetParam().shards ? ".shards" : ".h5");
  }
};

TEST_P(FullDisk, ASaveThatDoesNotFitFailsBeforeDataMovesAndTheNextOneThatFitsSucceeds) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  AtPhase phases;
  {
    ModelCheckpoint checkpoint = make(GetParam().shards, &phases);
    for (const std::uint64_t step : {1, 2}) save(checkpoint, step);
    phases.seen.clear();
    become(4);
    expect_error([&] { checkpoint.save(4, state_); }, ErrorCode::no_space,
                 {"space", place().string()});
    EXPECT_FALSE(phases.seen.contains(Phase::moving));
    EXPECT_EQ(entries(), name(1) + " " + name(2) + " ");
    on_root([this] { fs::remove_all(place() / name(1)); });
    save(checkpoint, 5);
    EXPECT_EQ(entries(), name(2) + " " + name(5) + " ");
  }
  expect_restored(5, GetParam().shards);
}

TEST_P(FullDisk, AnAsynchronousSaveThatDoesNotFitIsHeardOfByAllAndTheOldOneStays) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  {
    ModelCheckpoint checkpoint = make(GetParam().shards, nullptr, true);
    for (const std::uint64_t step : {1, 2}) save(checkpoint, step);
    become(4);
    expect_error(
        [&] {
          static_cast<void>(checkpoint.step_end(4, state_));
          static_cast<void>(checkpoint.wait());
        },
        ErrorCode::no_space, {"space", place().string()});
    EXPECT_EQ(entries(), name(1) + " " + name(2) + " ");
  }
  expect_restored(2, GetParam().shards);
}

TEST_P(FullDisk, WhatOthersWriteMeanwhileTakesNothingOfWhatIsReserved) {
  if (!mount(GetParam().type)) GTEST_SKIP();
  AtPhase filler;
  filler.when = Phase::moving;
  filler.then = [this] { disk_->fill(); };
  {
    ModelCheckpoint checkpoint = make(GetParam().shards);
    save(checkpoint, 1);
  }
  {
    ModelCheckpoint checkpoint = make(GetParam().shards, &filler);
    static_cast<void>(checkpoint.restore(state_));
    // Of shards the index is written last, where there is no room any more.
    if (GetParam().shards) {
      become(2);
      expect_error([&] { checkpoint.save(2, state_); }, ErrorCode::no_space, {place().string()});
      EXPECT_EQ(entries(), name(1) + " ");
    } else {
      save(checkpoint, 2);
    }
    EXPECT_TRUE(rank() != 0 || !filler.then);
    on_root([this] {
      fs::remove(path("disk") / "filler");
      fs::remove_all(place() / name(1));
    });
    save(checkpoint, 3);
  }
  expect_restored(3, GetParam().shards);
}

std::string name_of(const ::testing::TestParamInfo<Kind>& one) {
  return std::string(one.param.type == SmallDisk::Type::tmpfs ? "tmpfs" : "ext4") +
         (one.param.shards ? "_shards" : "");
}
INSTANTIATE_TEST_SUITE_P(Disk, FullDisk,
                         ::testing::Values(Kind{SmallDisk::Type::tmpfs, false},
                                           Kind{SmallDisk::Type::tmpfs, true},
                                           Kind{SmallDisk::Type::ext4, false},
                                           Kind{SmallDisk::Type::ext4, true}),
                         name_of);

class FailingDisk : public DiskTest, public ::testing::WithParamInterface<bool> {
 protected:
  static std::string error_of(const std::function<void()>& call) {
    try {
      call();
      return "no error";
    } catch (const Error& error) {
      return error.what();
    }
  }
};

TEST_P(FailingDisk, ThatTurnsReadOnlyInASaveThenAllHearOfItAndTheOldOneIsThereAfterwards) {
  if (!mount(SmallDisk::Type::ext4)) GTEST_SKIP();
  AtPhase breaker;
  for (const Phase when : {Phase::reserving, Phase::moving, Phase::syncing, Phase::completing,
                           Phase::publishing}) {
    SCOPED_TRACE(std::string(to_string(when)));
    {
      ModelCheckpoint checkpoint = make(GetParam(), &breaker);
      breaker.when.reset();
      save(checkpoint, 1);
      breaker.when = when;
      bool done = false;
      breaker.then = [&] { done = disk_->turn_read_only(); };
      become(2);
      expect_error([&] { checkpoint.save(2, state_); }, ErrorCode::io, {place().string()});
      EXPECT_TRUE(rank() != 0 || done) << "the kernel cannot be asked for it";
    }
    on_root([this] { disk_->remount(); });
    expect_restored(1, GetParam());
    on_root([this] { fs::remove_all(place()); });
  }
}

TEST_P(FailingDisk, DirectoryThatDisappearsInASaveThenAllHearOfItAndTheOldOneIsThereAfterwards) {
  AtPhase mover;
  const fs::path away = path("away");
  for (const Phase when : {Phase::reserving, Phase::moving, Phase::syncing, Phase::completing,
                           Phase::publishing}) {
    SCOPED_TRACE(std::string(to_string(when)));
    ModelCheckpoint checkpoint = make(GetParam(), &mover);
    mover.when.reset();
    save(checkpoint, 1);
    mover.when = when;
    mover.then = [&] { fs::rename(place(), away); };
    become(2);
    // Before anything is reserved the directory is made again.
    const bool is_made_again = when == Phase::reserving;
    if (is_made_again) {
      EXPECT_NO_THROW(checkpoint.save(2, state_));
    } else {
      const std::string error = error_of([&] { checkpoint.save(2, state_); });
      EXPECT_NE(error.find(place().string()), std::string::npos) << error;
      EXPECT_EQ(error, test::share(error)) << "differs from rank 0's";
    }
    on_root([&] {
      fs::remove_all(place());
      fs::rename(away, place());
    });
    save(checkpoint, 3);  // the object goes on
    EXPECT_EQ(checkpoint.latest().value().stem(), "run-1_3");
    on_root([&] { fs::remove_all(place()); });
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, FailingDisk, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& one) {
                           return std::string(one.param ? "shards" : "integrated");
                         });

}  // namespace
}  // namespace cairn::faults
