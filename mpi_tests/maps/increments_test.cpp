// Series of increments: whatever a map went through, and whichever saves failed, every checkpoint comes
// back as the map was then, on any number of ranks.
#include <memory>
#include <optional>

#include "maps/table.hpp"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;

/// Makes saves fail when the test says so, before they are committed.
class Saboteur : public Listener {
 public:
  void started(const Event& event) override { directory_ = event.path.parent_path(); }
  void phase(const Event& event, Phase phase) override {
    if (event.rank != 0 || phase != Phase::syncing || !armed_) return;
    // What is being written vanishes.
    for (const auto& entry : fs::directory_iterator(directory_)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp") != std::string::npos) fs::remove_all(entry.path());
    }
  }
  void arm(bool armed) { armed_ = armed; }

 private:
  fs::path directory_;
  bool armed_ = false;
};

class Increments : public World {
 protected:
  static constexpr std::uint64_t kKeys = 20000;

  /// The first `savers` ranks save.
  explicit Increments(int savers = ranks())
      : savers_(savers), table_(savers_.has_me() ? savers_.comm() : MPI_COMM_SELF) {
    state_.add("w", std::span(weight_), whole({100})).add("emb", table_.map());
  }

  CheckpointSettings settings() {
    CheckpointSettings settings{.keep_checkpoint_max = 1000, .incremental = true,
                                .listener = &saboteur_};
    settings.write.block_bytes = std::size_t{64} << 10;
    return settings;
  }
  ModelCheckpoint make(CheckpointSettings settings) {
    return {savers_.comm(), "run", directory(), std::move(settings)};
  }
  void train(int changes = 500) {
    table_.change(random_, changes, kKeys);
    ++step_;
    weight_.assign(100, static_cast<double>(step_));
  }
  /// A base with enough in it that increments do not outgrow it.
  void train_base() {
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      table_.put(static_cast<std::int64_t>(key * 977) - 1000, static_cast<float>(key));
    }
    train();
  }

  /// That a restore on the first `part_ranks` ranks gives the truth, from `increments` on a base.
  std::optional<Restored> restore_on(int part_ranks, CheckpointSettings settings = {}) {
    const Part part(part_ranks);
    if (!part.has_me()) return std::nullopt;
    MapParameter other = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
    std::vector<double> weight(100);
    State state;
    state.add("w", std::span(weight), whole({100})).add("emb", other);
    settings.incremental = true;
    ModelCheckpoint checkpoint(part.comm(), "run", directory(), settings);
    auto restored = checkpoint.restore(state);
    table_.expect_in(other, part.comm());
    EXPECT_EQ(weight, weight_);
    return restored;
  }
  void expect_restored_everywhere(std::uint64_t increments) {
    for (const int part_ranks : {1, 2, 3, 4}) {
      if (part_ranks > ranks()) continue;
      const auto restored = restore_on(part_ranks);
      if (!restored) continue;
      EXPECT_EQ(restored->increments, increments);
      EXPECT_EQ(restored->step, step_);
      EXPECT_TRUE(restored->skipped.empty());
    }
  }

  void save_one(ModelCheckpoint& checkpoint, bool increment) {
    const SaveReport report = checkpoint.save(step_, state_);
    EXPECT_EQ(report.is_increment, increment);
    if (!increment) return;
    EXPECT_LT(report.map_bytes, table_.truth().size() * 21 / 5);
  }
  void fail_to_save(ModelCheckpoint& checkpoint) {
    saboteur_.arm(true);
    EXPECT_THROW(static_cast<void>(checkpoint.save(step_, state_)), Error);
    saboteur_.arm(false);
  }
  /// Ranks that do not save see what the map goes through nonetheless.
  void save_many(CheckpointSettings with, bool failing) {
    std::optional<ModelCheckpoint> checkpoint;
    if (savers_.has_me()) checkpoint.emplace(make(std::move(with)));
    for (int i = 0; i <= 20; ++i) {
      i == 0 ? train_base() : train();
      if (failing && i % 3 == 2) {
        if (checkpoint) fail_to_save(*checkpoint);
        train();
      }
      if (checkpoint) save_one(*checkpoint, i > 0);
    }
    checkpoint.reset();
    expect_restored_everywhere(20);
  }

  Saboteur saboteur_;
  Part savers_;
  MapAndTruth table_;
  std::vector<double> weight_ = std::vector<double>(100);
  State state_;
  std::mt19937_64 random_{11};
  std::uint64_t step_ = 0;
};

TEST_F(Increments, TwentyOnABaseThenTheMapIsWhatItWasOnAnyNumberOfRanks) {
  save_many(settings(), false);
}

TEST_F(Increments, EveryThirdSaveFailsThenNoChangeIsLost) { save_many(settings(), true); }

/// Three ranks save, and all ranks there are restore: a job that goes on with more ranks.
class IncrementsOfThree : public Increments {
 protected:
  IncrementsOfThree() : Increments(3) {}
  void SetUp() override {
    Increments::SetUp();
    if (ranks() < 4) GTEST_SKIP() << "a job that grows beyond three ranks needs four";
  }
};

TEST_F(IncrementsOfThree, TwentyOnABaseThenTheMapIsWhatItWasOnFour) {
  save_many(settings(), false);
}

TEST_F(IncrementsOfThree, EveryThirdSaveFailsThenNoChangeIsLostOnFour) {
  save_many(settings(), true);
}

TEST_F(IncrementsOfThree, InShardsThenTheSameOnFour) {
  CheckpointSettings with = settings();
  with.integrated_save = false;
  save_many(std::move(with), true);
}

TEST_F(Increments, InShardsWithCrcsThenTheSame) {
  CheckpointSettings with = settings();
  with.integrated_save = false;
  with.crc_check = true;
  save_many(std::move(with), true);
}

TEST_F(Increments, TheFileIsTheSameOnAnyNumberOfRanksThatHadTheSameHistory) {
  std::vector<std::vector<char>> files;
  for (int part_ranks = 1; part_ranks <= ranks(); ++part_ranks) {
    const Part part(part_ranks);
    if (part.has_me()) {
      MapAndTruth table(part.comm());
      State state;
      state.add("emb", table.map());
      CheckpointSettings same = settings();
      same.clock = [] { return Time{std::chrono::seconds{1}}; };
      same.run_id = RunId{};
      const std::string prefix = "run" + std::to_string(part_ranks);
      std::mt19937_64 random(3);
      {
        ModelCheckpoint checkpoint(part.comm(), "run", path(prefix), same);
        for (std::uint64_t step = 1; step <= 3; ++step) {
          table.change(random, step == 1 ? 20000 : 300, kKeys);
          checkpoint.save(step, state);
        }
      }
      if (rank() == 0) files.push_back(bytes_at(path(prefix) / "run-1_3.h5"));
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }
  for (const auto& file : files) {
    EXPECT_FALSE(file.empty());
    EXPECT_TRUE(file == files.front());
  }
}

TEST_F(Increments, ARunThatGoesOnAddsToTheChain) {
  {
    ModelCheckpoint checkpoint = make(settings());
    train_base();
    checkpoint.save(step_, state_);
    train();
    checkpoint.save(step_, state_);
  }
  std::optional<ModelCheckpoint> checkpoint(make(settings()));
  const auto restored = checkpoint->restore(state_);
  ASSERT_TRUE(restored.has_value());
  table_.expect_in_own();
  train();
  const SaveReport report = checkpoint->save(step_, state_);
  EXPECT_TRUE(report.is_increment);
  EXPECT_LT(report.map_bytes, 21U * 600);
  checkpoint->end(step_, state_);
  checkpoint.reset();
  expect_restored_everywhere(2);
}

TEST_F(Increments, WithoutTheSettingThenEverySaveIsFull) {
  CheckpointSettings with = settings();
  with.incremental = false;
  ModelCheckpoint checkpoint = make(std::move(with));
  train_base();
  checkpoint.save(step_, state_);
  train();
  EXPECT_FALSE(checkpoint.save(step_, state_).is_increment);
}

TEST_F(Increments, TheyOutgrowTheirBaseThenTheNextSaveIsFull) {
  ModelCheckpoint checkpoint = make(settings());
  train(2000);
  std::uint64_t base = 0;
  std::uint64_t increments = 0;
  int full = 0;
  for (int i = 0; i < 16; ++i) {
    const SaveReport report = checkpoint.save(step_, state_);
    EXPECT_EQ(report.is_increment, increments < base) << i;
    if (report.is_increment) {
      increments += report.map_bytes;
    } else {
      ++full;
      base = report.map_bytes;
      increments = 0;
    }
    train(600);
  }
  EXPECT_GE(full, 3);
}

TEST_F(Increments, TheyAreSixtyFourThenTheNextSaveIsFull) {
  ModelCheckpoint checkpoint = make(settings());
  train_base();
  std::string kinds;
  for (int i = 0; i < 67; ++i) {
    kinds += checkpoint.save(step_, state_).is_increment ? 'i' : 'F';
    train(1);
  }
  EXPECT_EQ(kinds, "F" + std::string(64, 'i') + "Fi");
}

TEST_F(Increments, AMapThatWasLoadedFromElsewhereThenTheNextSaveIsFull) {
  save(MPI_COMM_WORLD, path("elsewhere.h5"), state_);
  std::optional<ModelCheckpoint> checkpoint(make(settings()));
  train_base();
  checkpoint->save(step_, state_);
  load(MPI_COMM_WORLD, path("elsewhere.h5"), state_);
  table_.truth().clear();
  train(50);
  EXPECT_FALSE(checkpoint->save(step_, state_).is_increment);
  checkpoint.reset();
  expect_restored_everywhere(0);
}

TEST_F(Increments, TheKeyIsChangedThenTheNextSaveIsFullAndOpensByTheNewOneAlone) {
  const Key first = Key::from_hex(std::string(64, 'a'));
  const Key second = Key::from_hex(std::string(64, 'b'));
  CheckpointSettings with = settings();
  with.enc_key = first;
  train_base();
  {
    ModelCheckpoint checkpoint = make(with);
    save_one(checkpoint, false);
  }
  for (const Key& next : {second, Key()}) {
    LoadOptions by_the_old_one;
    by_the_old_one.enc_key = with.enc_key;
    with.enc_key = next;
    {
      ModelCheckpoint checkpoint = make(with);
      ASSERT_TRUE(checkpoint.restore(state_, by_the_old_one).has_value());
      train();
      save_one(checkpoint, false);
      train();
      save_one(checkpoint, true);
    }
    CheckpointSettings new_one;
    new_one.enc_key = next;
    ASSERT_TRUE(restore_on(ranks(), new_one).has_value());
  }
}

TEST_F(Increments, AnotherSeriesSavedTheMapThenTheNextSaveIsFull) {
  std::optional<ModelCheckpoint> checkpoint(make(settings()));
  ModelCheckpoint other(MPI_COMM_WORLD, "other", directory(), settings());
  train_base();
  checkpoint->save(step_, state_);
  train();
  other.save(step_, state_);
  train();
  EXPECT_FALSE(checkpoint->save(step_, state_).is_increment);
  checkpoint.reset();
  expect_restored_everywhere(0);
}

TEST_F(Increments, TheSameStepAgainThenItIsFullSinceItReplacesItsBase) {
  std::optional<ModelCheckpoint> checkpoint(make(settings()));
  train_base();
  checkpoint->save(step_, state_);
  train();
  EXPECT_TRUE(checkpoint->save(step_, state_).is_increment);
  table_.put(5, 5);
  EXPECT_FALSE(checkpoint->save(step_, state_).is_increment);
  checkpoint.reset();
  expect_restored_everywhere(0);
}

TEST_F(Increments, RetentionKeepsWhatTheNewestNeedsAndDeletesChainsWhole) {
  CheckpointSettings with = settings();
  with.keep_checkpoint_max = 2;
  ModelCheckpoint checkpoint = make(std::move(with));
  std::vector<std::size_t> chains;  // members of each, of those that are there
  train(2000);
  for (int i = 0; i < 12; ++i) {
    if (!checkpoint.save(step_, state_).is_increment) chains.push_back(0);
    ++chains.back();
    while (chains.size() > 1) {
      std::size_t others = 0;
      for (std::size_t c = 1; c < chains.size(); ++c) others += chains[c];
      if (others < 2) break;
      chains.erase(chains.begin());
    }
    std::size_t expected = 1;  // the lock
    for (const std::size_t members : chains) expected += members;
    checkpoint.wait();
    EXPECT_EQ(names().size(), expected) << i;
    train(600);
  }
}

/// By turns in two directories, one of which is a link to somewhere else, or beside the root.
TEST_F(Increments, DirectoriesVaryThenTheWayBackIsFound) {
  if (rank() == 0) {
    fs::create_directories(path("far/away/deep"));
    fs::create_directories(path("link"));
    fs::create_directory_symlink(path("far/away/deep"), path("link/two"));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  train_base();
  for (const auto& [root, even] : {std::pair{"link", "two"}, {"dots", "../beside"}}) {
    const Directory where(path(root),
                          [=](std::uint64_t step) { return fs::path(step % 2 == 1 ? "one" : even); });
    {
      ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", where, settings());
      EXPECT_FALSE(checkpoint.save(1, state_).is_increment);
      for (std::uint64_t step = 2; step <= 3; ++step) {
        train();
        EXPECT_TRUE(checkpoint.save(step, state_).is_increment);
      }
    }
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", where, settings());
    const auto restored = checkpoint.restore(state_);
    ASSERT_TRUE(restored.has_value());
    EXPECT_EQ(restored->step, 3U) << root;
    EXPECT_EQ(restored->increments, 2U);
    table_.expect_in_own();
  }
}

}  // namespace
}  // namespace cairn::test
