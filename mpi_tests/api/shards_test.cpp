// One file per rank: written once, found whatever the layout, and nothing foreign among them.
#include <fstream>
#include <numeric>

#include "api/world.hpp"

namespace cairn::test {
namespace {

using Names = std::vector<std::string>;

class Shards : public World {
 protected:
  Shards() {
    values_.resize(element_count(rows().extent));
    std::iota(values_.begin(), values_.end(), static_cast<float>(rows().offset[0] * kColumns));
    state_.add("w", std::span(values_), rows()).add("shared", std::span(shared_), whole({1000}));
  }

  static Slice rows() { return split({90, kColumns}, 0, rank(), ranks()); }
  static std::string shard_name(int r) {
    return "shard-" + std::to_string(r) + "of" + std::to_string(ranks()) + ".h5";
  }
  static SaveOptions options() {
    SaveOptions options;
    options.integrated_save = false;
    return options;
  }
  void save_shards(const std::string& name, std::uint64_t step = 0) {
    SaveOptions with_step = options();
    with_step.step = step;
    save(MPI_COMM_WORLD, path(name), state_, with_step);
  }
  void expect_damage(const std::string& file, const std::string& words) {
    const std::vector<float> before = values_;
    expect_error([&] { load(MPI_COMM_WORLD, path("x"), state_); }, ErrorCode::damaged,
                 {file, words, "state unchanged"});
    EXPECT_EQ(values_, before);
  }

  static constexpr std::uint64_t kColumns = 70;
  std::vector<float> values_;
  std::vector<double> shared_ = std::vector<double>(1000, 2.5);
  State state_;
};

TEST_F(Shards, OneFilePerRankAndAnIndex) {
  save_shards("x");
  on_root([&] {
    Names found;
    for (const auto& entry : std::filesystem::directory_iterator(path("x"))) {
      found.push_back(entry.path().filename().string());
    }
    std::ranges::sort(found);
    Names expected{"index.h5"};
    for (int r = 0; r < ranks(); ++r) expected.push_back(shard_name(r));
    EXPECT_EQ(found, expected);
  });
}

TEST_F(Shards, ReplicasAreWrittenOnce) {
  std::vector<double> large(1 << 20, 1.0);  // 8 MiB on every rank
  State state;
  state.add("large", std::span(large), whole({1 << 20}));
  const SaveReport report = save(MPI_COMM_WORLD, path("x"), state, options());
  EXPECT_EQ(report.value_bytes, 8U << 20);
  on_root([&] {
    std::uint64_t bytes = 0;
    for (int r = 0; r < ranks(); ++r) {
      bytes += std::filesystem::file_size(path("x") / shard_name(r));
    }
    EXPECT_LT(bytes, 12U << 20) << "eight of values, and heads and tails";
  });
  if (ranks() > 1) {
    EXPECT_LT(report.written_max, 8U << 20) << "the holders share the work";
  }
  std::ranges::fill(large, 0.0);
  load(MPI_COMM_WORLD, path("x"), state);
  EXPECT_EQ(large, std::vector<double>(1 << 20, 1.0));
}

TEST_F(Shards, ColumnsComeOutOfRows) {
  save_shards("x");
  const Slice columns = split({90, kColumns}, 1, rank(), ranks());
  std::vector<float> values(element_count(columns.extent));
  State state;
  state.add("w", std::span(values), columns);
  load(MPI_COMM_WORLD, path("x"), state, {.strict = false});
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const std::uint64_t row = i / columns.extent[1];
    const std::uint64_t column = columns.offset[1] + i % columns.extent[1];
    ASSERT_EQ(values[i], static_cast<float>(row * kColumns + column));
  }
}

TEST_F(Shards, TheSecondSaveReusesThePlanAndReplaces) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), {.integrated_save = false});
  EXPECT_FALSE(checkpoint.save(5, state_).plan_reused);
  values_.assign(values_.size(), 9.0F);
  EXPECT_TRUE(checkpoint.save(5, state_).plan_reused);
  values_.assign(values_.size(), 0.0F);
  EXPECT_EQ(checkpoint.restore(state_)->sequence, 2U);
  EXPECT_EQ(values_, std::vector<float>(values_.size(), 9.0F));
  EXPECT_EQ(names(), (Names{".lock-run", "run-1_5.shards"}));
}

TEST_F(Shards, RetentionAndSeriesAreAsForFiles) {
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(),
                               {.keep_checkpoint_max = 2, .integrated_save = false});
    for (std::uint64_t step = 1; step <= 4; ++step) {
      static_cast<void>(checkpoint.step_end(step, state_));
    }
  }
  EXPECT_EQ(names(), (Names{"run-1_3.shards", "run-1_4.shards"}));
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory());
  EXPECT_EQ(checkpoint.restore(state_)->path, path("run-1_4.shards"));
  checkpoint.save(4, state_);  // the other kind of the same name
  EXPECT_EQ(names(), (Names{".lock-run", "run-1_3.shards", "run-1_4.h5"}));
}

TEST_F(Shards, ADamagedCheckpointFallsBack) {
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), {.integrated_save = false});
    checkpoint.save(1, state_);
    checkpoint.save(2, state_);
  }
  on_root([&] { std::filesystem::remove(path("run-1_2.shards") / shard_name(ranks() - 1)); });
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory());
  const auto restored = checkpoint.restore(state_);
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->step, 1U);
  ASSERT_EQ(restored->skipped.size(), 1U);
  EXPECT_NE(restored->skipped[0].reason.find(shard_name(ranks() - 1)), std::string::npos);
}

TEST_F(Shards, ADeletedShardIsNamed) {
  save_shards("x");
  on_root([&] { std::filesystem::remove(path("x") / shard_name(ranks() - 1)); });
  expect_damage(shard_name(ranks() - 1), "missing");
}

TEST_F(Shards, ACutShardIsNamed) {
  save_shards("x");
  on_root([&] { std::filesystem::resize_file(path("x") / shard_name(0), 70'000); });
  expect_damage(shard_name(0), "");
}

TEST_F(Shards, AShardOfAnotherCheckpointIsNamed) {
  save_shards("x", 1);
  save_shards("y", 2);
  on_root([&] {
    std::filesystem::copy_file(path("y") / shard_name(0), path("x") / shard_name(0),
                               std::filesystem::copy_options::overwrite_existing);
  });
  expect_damage(shard_name(0), "another checkpoint: step 2");
}

TEST_F(Shards, AShardInThePlaceOfAnotherIsNamed) {
  if (ranks() < 2) GTEST_SKIP() << "needs two shards";
  save_shards("x");
  on_root([&] {
    std::filesystem::copy_file(path("x") / shard_name(0), path("x") / shard_name(1),
                               std::filesystem::copy_options::overwrite_existing);
  });
  expect_damage(shard_name(1), "");
}

TEST_F(Shards, AChangedIndexIsDamage) {
  save_shards("x");
  on_root([&] {
    std::fstream file(path("x") / "index.h5", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(65536 + 8);  // the table of shards, behind the checksum, in the body
    file.put('\x7F');
  });
  expect_damage("index.h5", "CRC");
}

TEST_F(Shards, AMissingIndexIsNotFound) {
  save_shards("x");
  on_root([&] { std::filesystem::remove(path("x") / "index.h5"); });
  expect_error([&] { load(MPI_COMM_WORLD, path("x"), state_); }, ErrorCode::not_found,
               {"index.h5"});
}

TEST_F(Shards, AFailedSaveLeavesNothing) {
  State state = state_;
  state.add("device", rows(),
            Source::callbacks(DType::float32, [](std::uint64_t, std::uint64_t, std::byte*) {
              if (rank() == ranks() - 1) throw std::runtime_error("lost");
            }));
  expect_error([&] { save(MPI_COMM_WORLD, path("x"), state, options()); }, ErrorCode::io,
               {"lost"});
  EXPECT_EQ(names(), Names{});
}

TEST_F(Shards, ADirectoryThatIsNoCheckpointIsNotReplaced) {
  on_root([&] {
    std::filesystem::create_directory(path("x"));
    std::ofstream(path("x") / "precious") << "data";
  });
  expect_error([&] { save_shards("x"); }, ErrorCode::invalid_argument, {"not replaced"});
  on_root([&] { EXPECT_TRUE(std::filesystem::exists(path("x") / "precious")); });
}

}  // namespace
}  // namespace cairn::test
