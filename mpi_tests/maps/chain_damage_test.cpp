// Links of a chain of increments that are missing, damaged, swapped or foreign: each is named, and a
// restore falls back to the newest whole chain.
#include <array>
#include <optional>

#include "cairn/inspect.hpp"
#include "maps/table.hpp"
#include "storage/image.hpp"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;

/// A base and five increments, `run-1_1` to `run-1_6`, and what the map was at each.
class ChainDamage : public World {
 protected:
  static constexpr int kSaves = 6;

  ChainDamage() { save_chain("x", truths_); }

  static CheckpointSettings settings() {
    CheckpointSettings settings{.keep_checkpoint_max = 1000, .incremental = true};
    settings.write.block_bytes = std::size_t{64} << 10;
    return settings;
  }
  using Truth = std::map<std::int64_t, MapAndTruth::Row>;

  void save_chain(const std::string& name, std::vector<Truth>& truths, unsigned seed = 5) {
    MapAndTruth table;
    State state;
    state.add("emb", table.map());
    std::mt19937_64 random(seed);
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path(name), settings());
    for (int i = 1; i <= kSaves; ++i) {
      table.change(random, i == 1 ? 5000 : 200, 5000);
      EXPECT_EQ(checkpoint.save(static_cast<std::uint64_t>(i), state).is_increment, i > 1);
      truths.push_back(table.truth());
    }
  }
  [[nodiscard]] fs::path link(int step, const std::string& name = "x") const {
    return path(name) / ("run-1_" + std::to_string(step) + ".h5");
  }
  static void flip_middle(const fs::path& file) {
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    const auto middle = static_cast<std::streamoff>(fs::file_size(file) - 2000);
    out.seekp(middle);
    out.put('\x5a');
  }

  /// That `load` of every step from `first` on names the link, and a restore gives step `found`.
  void expect_broken(int first, int found, const std::vector<std::string>& words) {
    for (int step = first; step <= kSaves; ++step) {
      if (!fs::exists(link(step))) continue;
      MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
      const std::vector<float> row(MapAndTruth::kRow);
      map.put(-77, std::span(row));
      State state;
      state.add("emb", map);
      expect_error([&] { load(MPI_COMM_WORLD, link(step), state); }, ErrorCode::damaged, words);
      EXPECT_TRUE(map.contains(-77));  // unchanged
    }
    for (const int part_ranks : {1, ranks()}) expect_fall_back(part_ranks, found);
  }
  void expect_fall_back(int part_ranks, int found) {
    const Part part(part_ranks);
    if (part.has_me()) {
      MapAndTruth expected(part.comm());
      expected.truth() = truths_[static_cast<std::size_t>(found) - 1];
      State state;
      state.add("emb", expected.map());
      ModelCheckpoint checkpoint(part.comm(), "run", path("x"), settings());
      const auto restored = checkpoint.restore(state);
      ASSERT_TRUE(restored.has_value());
      EXPECT_EQ(restored->step, static_cast<std::uint64_t>(found));
      expected.expect_in_own();
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }

  std::vector<Truth> truths_;
};

TEST_F(ChainDamage, ALinkIsMissingThenItIsNamedAndTheChainBeforeItIsRestored) {
  on_root([&] { fs::remove(link(4)); });
  expect_broken(5, 3, {"run-1_", "increment", "run-1_4.h5, is missing", "state unchanged"});
}

TEST_F(ChainDamage, TheBaseIsMissingThenThereIsNothingGood) {
  on_root([&] { fs::remove(link(1)); });
  MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
  State state;
  state.add("emb", map);
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("x"), settings());
  expect_error([&] { checkpoint.restore(state); }, ErrorCode::damaged,
               {"none of them is good", "run-1_2.h5 is increment 1", "run-1_1.h5, is missing"});
}

TEST_F(ChainDamage, ALinkIsDamagedThenItIsNamed) {
  on_root([&] { flip_middle(link(3)); });
  expect_broken(4, 2, {"the one before it is damaged", "run-1_3.h5", "CRC"});
}

TEST_F(ChainDamage, TwoLinksAreSwappedThenTheyAreNamed) {
  on_root([&] {
    fs::rename(link(3), path("aside"));
    fs::rename(link(4), link(3));
    fs::rename(path("aside"), link(4));
  });
  expect_broken(5, 2, {"is another than it was saved after"});
}

TEST_F(ChainDamage, ALinkOfAnotherRunThenItIsNamed) {
  std::vector<Truth> others;
  save_chain("y", others, 6);
  on_root([&] { fs::copy(link(3, "y"), link(3), fs::copy_options::overwrite_existing); });
  expect_broken(3, 2, {"is another than it was saved after"});
}

TEST_F(ChainDamage, ALinkInAnotherPlaceThenItIsMissing) {
  on_root([&] {
    fs::create_directory(path("z"));
    fs::rename(link(2), path("z") / "run-1_2.h5");
  });
  expect_broken(3, 1, {"run-1_2.h5, is missing"});
}

/// Where a dataset of the map lies in a plain file of the chain.
std::uint64_t place_in(const fs::path& file, const std::string& dataset) {
  const auto image = storage::ImageFile::open(file, {});
  for (const PlacedTensor& tensor : storage::read_index(image).tensors) {
    if (tensor.family == Family::map_parameter && tensor.name == dataset) return tensor.offset;
  }
  ADD_FAILURE() << dataset << " is not in " << file;
  return 0;
}

TEST_F(ChainDamage, AStatusThatThereIsNotThenDamaged) {
  on_root([&] {
    const auto at = static_cast<std::streamoff>(place_in(link(3), "emb/statuses"));
    std::fstream out(link(3), std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(at);
    out.put('\x07');
  });
  State state;
  MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
  state.add("emb", map);
  expect_error([&] { load(MPI_COMM_WORLD, link(4), state); }, ErrorCode::damaged,
               {"run-1_3.h5", "map_parameter \"emb\" has the status 7 in an increment",
                "unspecified"});
}

TEST_F(ChainDamage, AKeyTwiceInTheBaseThenDamaged) {
  on_root([&] {
    const auto at = static_cast<std::streamoff>(place_in(link(1), "emb/keys"));
    std::fstream out(link(1), std::ios::binary | std::ios::in | std::ios::out);
    std::array<char, 8> key{};
    out.seekg(at);
    out.read(key.data(), key.size());
    out.seekp(at + 8);
    out.write(key.data(), key.size());
  });
  State state;
  MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
  state.add("emb", map);
  expect_error([&] { load(MPI_COMM_WORLD, link(1), state); }, ErrorCode::damaged,
               {"run-1_1.h5 holds a key of a MapParameter twice"});
}

TEST_F(ChainDamage, ABrokenChainThenWhoOnlyLooksSaysSo) {
  for (const CheckpointInfo& info : list(path("x")).checkpoints) {
    EXPECT_EQ(info.increment, info.step - 1);
    EXPECT_EQ(info.base, info.step == 1 ? 0U : 1U);
    EXPECT_FALSE(info.broken.has_value());
  }
  EXPECT_TRUE(verify(MPI_COMM_WORLD, link(6)).good());
  const Contents contents = inspect(link(2));
  ASSERT_EQ(contents.maps.size(), 1U);
  EXPECT_EQ(contents.maps[0].name, "emb");
  EXPECT_EQ(contents.maps[0].row_shape, (Shape{MapAndTruth::kRow}));
  EXPECT_GT(contents.maps[0].entries, 50U);
  EXPECT_LE(contents.maps[0].entries, 200U);
  EXPECT_TRUE(contents.tensors.empty());
  on_root([&] { fs::remove(link(4)); });
  for (const CheckpointInfo& info : list(path("x")).checkpoints) {
    EXPECT_EQ(info.broken.has_value(), info.step > 4) << info.path;
  }
  const VerifyReport report = verify(MPI_COMM_WORLD, link(6));
  ASSERT_EQ(report.damage.size(), 1U);
  EXPECT_NE(report.damage[0].reason.find("run-1_4.h5, is missing"), std::string::npos);
  EXPECT_TRUE(verify(MPI_COMM_WORLD, link(3)).good());
}

/// The chain moves as a whole.
TEST_F(ChainDamage, AllIsMovedThenItIsWhole) {
  on_root([&] { fs::rename(path("x"), path("moved")); });
  on_root([&] { fs::rename(path("moved"), path("x")); });
  expect_fall_back(ranks(), kSaves);
}

TEST_F(ChainDamage, ALinkToAnIncrementOrASlashAfterItsNameThenItsChainIsFound) {
  const auto expect_step = [](const fs::path& path, std::uint64_t step) {
    MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
    State state;
    state.add("emb", map);
    EXPECT_EQ(load(MPI_COMM_WORLD, path, state).step, step);
    EXPECT_FALSE(inspect(path).broken.has_value());
  };
  on_root([&] { fs::create_symlink(link(4), path("latest.h5")); });
  MPI_Barrier(MPI_COMM_WORLD);
  expect_step(path("latest.h5"), 4);
  CheckpointSettings shards = settings();
  shards.integrated_save = false;
  {
    MapAndTruth table;
    State state;
    state.add("emb", table.map());
    std::mt19937_64 random(7);
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("s"), shards);
    for (const std::uint64_t step : {1, 2}) {
      table.change(random, step == 1 ? 5000 : 200, 5000);
      checkpoint.save(step, state);
    }
  }
  expect_step(path("s") / "run-1_2.shards/", 2);
}

TEST_F(ChainDamage, AfterTheFallBackTheChainGoesOnFromThere) {
  on_root([&] { fs::remove(link(4)); });
  MapAndTruth table;
  table.truth() = truths_[2];
  State state;
  state.add("emb", table.map());
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("x"), settings());
    ASSERT_TRUE(checkpoint.restore(state).has_value());
    table.put(4, 44);
    EXPECT_TRUE(checkpoint.save(7, state).is_increment);
  }
  truths_.resize(7);
  truths_[6] = table.truth();
  expect_fall_back(1, 7);
}

}  // namespace
}  // namespace cairn::test
