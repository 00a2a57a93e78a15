// What the face tells of checkpoints on the disk: list, identify, inspect, verify.
#include <array>
#include <fstream>
#include <numeric>
#include <sstream>

#include <gmock/gmock.h>

#include "api/world.hpp"
#include "storage/lone_shard.hpp"
#include "storage/sample_image.hpp"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRows = 90;
constexpr std::uint64_t kColumns = 700;
constexpr std::size_t kBlock = std::size_t{64} << 10;

class Inspect : public World {
 protected:
  Inspect() {
    values_.resize(element_count(rows().extent));
    std::iota(values_.begin(), values_.end(), 1.0F);
    state_.add("w", std::span(values_), rows()).add("scalar", scalar_);
  }

  static Slice rows() { return split({kRows, kColumns}, 0, rank(), ranks()); }
  static Key key(unsigned char seed) {
    const std::array<std::byte, 16> bytes{std::byte{seed}, std::byte{7}};
    return Key(bytes);
  }
  void save_as(const std::string& name, SaveOptions options = {}) {
    options.block_bytes = kBlock;
    options.step = 12;
    save(MPI_COMM_WORLD, path(name), state_, options);
  }
  void save_with_crc(const std::string& name) {
    SaveOptions options;
    options.crc_check = true;
    save_as(name, options);
  }
  static void flip(const fs::path& file, std::uint64_t offset) {
    on_root([&] {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(offset));
      const int byte = stream.get();
      stream.seekp(static_cast<std::streamoff>(offset));
      stream.put(static_cast<char>(byte ^ 1));
    });
  }
  [[nodiscard]] VerifyReport verified(const std::string& name,
                                      const VerifyOptions& options = {}) const {
    return verify(MPI_COMM_WORLD, path(name), options);
  }

  std::vector<float> values_;
  double scalar_ = 2.5;
  State state_;
};

/// All of it, to compare over ranks.
std::string words_of(const VerifyReport& report) {
  std::ostringstream words;
  words << report.path << ' ' << to_string(report.verified) << ' ' << report.files << ' '
        << report.blocks << ' ' << report.bytes << ' ' << report.misnamed.value_or("-") << '\n';
  for (const Damage& damage : report.damage) {
    words << damage.file << ' ' << damage.offset.value_or(1) << ' ' << damage.bytes << ' '
          << damage.reason << ' ';
    for (const std::string& tensor : damage.tensors) words << tensor << ' ';
    words << '\n';
  }
  return words.str();
}

TEST_F(Inspect, ListHasTheNewestFirst) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("runs"), {.steps_per_epoch = 5});
  checkpoint.save(3, state_);
  checkpoint.save(8, state_);
  const Listing listing = list(path("runs"));
  ASSERT_EQ(listing.checkpoints.size(), 2U);
  const CheckpointInfo& newest = listing.checkpoints.front();
  EXPECT_EQ(newest.path.filename(), "run-2_3.h5");
  EXPECT_EQ(newest.sequence, 2U);
  EXPECT_EQ(newest.step, 8U);
  EXPECT_EQ(newest.epoch, 2U);
  EXPECT_EQ(newest.step_in_epoch, 3U);
  EXPECT_EQ(newest.steps_per_epoch, 5U);
  EXPECT_EQ(newest.bytes, fs::file_size(newest.path));
  EXPECT_FALSE(newest.problem || newest.misnamed);
  EXPECT_TRUE(listing.leftovers.empty());
}

TEST_F(Inspect, WhatIsOfNoSeriesIsListedToo) {
  save_as("model.h5");
  const Listing listing = list(directory());
  ASSERT_EQ(listing.checkpoints.size(), 1U);
  EXPECT_EQ(listing.checkpoints.front().series, "");
  EXPECT_EQ(listing.checkpoints.front().step, 12U);
  EXPECT_FALSE(listing.checkpoints.front().misnamed);
}

TEST_F(Inspect, NoDirectoryIsNotFound) {
  expect_error([&] { list(path("nowhere")); }, ErrorCode::not_found, {"nowhere"});
  expect_error([&] { identify(path("nowhere.h5")); }, ErrorCode::not_found, {"nowhere.h5"});
  expect_error([&] { inspect(path("nowhere.h5")); }, ErrorCode::not_found, {"nowhere.h5"});
}

TEST_F(Inspect, PiecesLieWhereTheContentsSay) {
  save_as("x.h5");
  const Contents contents = inspect(path("x.h5"));
  ASSERT_EQ(contents.tensors.size(), 2U);
  const StoredTensor& scalar = contents.tensors[0];
  EXPECT_EQ(scalar.name, "scalar");
  ASSERT_EQ(scalar.pieces.size(), 1U);
  std::ifstream file(path("x.h5"), std::ios::binary);
  file.seekg(static_cast<std::streamoff>(*scalar.pieces[0].position));
  double stored = 0;
  file.read(reinterpret_cast<char*>(&stored), sizeof stored);
  EXPECT_EQ(stored, scalar_);
  EXPECT_EQ(contents.tensors[1].shape, (Shape{kRows, kColumns}));
  EXPECT_EQ(contents.value_bytes, kRows * kColumns * sizeof(float) + sizeof(double));
  EXPECT_EQ(contents.block_bytes, kBlock);
}

TEST_F(Inspect, AShardThatIsMissingLeavesTheRest) {
  SaveOptions options;
  options.integrated_save = false;
  save_as("x.shards", options);
  const std::string lost = "shard-0of" + std::to_string(ranks()) + ".h5";
  on_root([&] { fs::remove(path("x.shards") / lost); });
  const Contents contents = inspect(path("x.shards"));
  ASSERT_EQ(contents.files.size(), 1U + static_cast<std::size_t>(ranks()));
  ASSERT_TRUE(contents.files[1].problem && contents.problem);
  EXPECT_NE(std::string(contents.files[1].problem->what()).find(lost), std::string::npos);
  for (const Piece& piece : contents.tensors[1].pieces) {
    EXPECT_EQ(piece.position.has_value(), piece.file != 1);
  }
}

TEST_F(Inspect, EveryBlockIsReadOnce) {
  save_with_crc("x.h5");
  const std::uint64_t file_bytes = fs::file_size(path("x.h5"));
  std::vector<std::uint64_t> told;
  VerifyOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    told.push_back(done);
    EXPECT_EQ(total, file_bytes / kBlock * kBlock);  // the tail is shorter than a block
  };
  const VerifyReport report = verified("x.h5", options);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.verified, Verified::crc);
  EXPECT_EQ(report.bytes, file_bytes / kBlock * kBlock);
  EXPECT_EQ(report.blocks, file_bytes / kBlock);
  EXPECT_EQ(told.empty(), rank() != 0) << "progress is rank 0's";
  EXPECT_TRUE(std::ranges::is_sorted(told));
  if (rank() == 0) {
    EXPECT_EQ(told.back(), report.bytes);
  }
}

TEST_F(Inspect, DamageIsReportedAlikeOnAllRanks) {
  save_with_crc("x.h5");
  const Contents contents = inspect(path("x.h5"));
  const std::uint64_t first = *contents.tensors[1].pieces[0].position;
  flip(path("x.h5"), first + 1);
  flip(path("x.h5"), first + 2 * kBlock + 5);
  const VerifyReport report = verified("x.h5");
  EXPECT_EQ(words_of(report), share(words_of(report)));
  ASSERT_EQ(report.damage.size(), 2U);
  EXPECT_EQ(report.damage[0].offset, first / kBlock * kBlock);
  EXPECT_EQ(report.damage[1].offset, (first + 2 * kBlock + 5) / kBlock * kBlock);
  EXPECT_EQ(report.damage[1].tensors, std::vector<std::string>{"w"});
}

TEST_F(Inspect, WhatIsNoDamageIsThrownAlikeOnAllRanks) {
  expect_error([&] { static_cast<void>(verified("nowhere.h5")); }, ErrorCode::not_found, {"nowhere.h5"});
  SaveOptions sealed;
  sealed.enc_key = key(1);
  save_as("x.h5.enc", sealed);
  sealed.integrated_save = false;
  save_as("x.shards", sealed);
  for (const std::string name : {"x.h5.enc", "x.shards"}) {
    expect_error([&] { static_cast<void>(verified(name)); }, ErrorCode::wrong_key, {name, "encrypted"});
    VerifyOptions options;
    options.enc_key = key(2);
    expect_error([&] { static_cast<void>(verified(name, options)); }, ErrorCode::wrong_key, {name});
    options.enc_key = key(1);
    EXPECT_EQ(verified(name, options).verified, Verified::seal);
    EXPECT_TRUE(verified(name, options).good());
  }
}

TEST_F(Inspect, KeysThatDifferOverRanksAreRefused) {
  save_as("x.h5");
  if (ranks() == 1) return;
  VerifyOptions options;
  options.enc_key = key(static_cast<unsigned char>(rank()));
  expect_error([&] { static_cast<void>(verified("x.h5", options)); }, ErrorCode::invalid_argument, {"enc_key"});
}

TEST_F(Inspect, AProgressThatThrowsEndsItForAll) {
  save_with_crc("x.h5");
  VerifyOptions options;
  options.progress = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("full screen"); };
  expect_error([&] { static_cast<void>(verified("x.h5", options)); }, ErrorCode::io, {"full screen"});
}

TEST_F(Inspect, AnotherNameIsToldAndNoDamage) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", path("runs"));
  checkpoint.save(3, state_);
  on_root([&] { fs::rename(path("runs") / "run-1_3.h5", path("runs") / "run-1_4.h5"); });
  const VerifyReport report = verified("runs/run-1_4.h5");
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.misnamed, "run-1_3.h5");
  EXPECT_EQ(identify(path("runs/run-1_4.h5")).misnamed, "run-1_3.h5");
}

/// Lone shards of a set, by hand.
class InspectLone : public Inspect {
 protected:
  void write_lone(int rank, int ranks, std::uint64_t sequence, const Time& saved_at,
                  const std::vector<TensorInfo>& datasets) {
    storage::Record record = cairn::testing::sample_record();
    record.series = "run";
    record.epoch = 1;
    record.step_in_epoch = record.step = 5;
    record.sequence = sequence;
    record.saved_at = saved_at;
    record.optional_features.clear();
    storage::put_mark({.rank = static_cast<std::uint64_t>(rank),
                       .ranks = static_cast<std::uint64_t>(ranks),
                       .structure = {1, 2},
                       .updates_marked = true},
                      record);
    on_root([&] {
      cairn::testing::write_image(
          path("run-1_5_breakpoint.rank" + std::to_string(rank) + "of" + std::to_string(ranks) +
               ".shard"),
          storage::lay_out(datasets, kBlock), record);
    });
    MPI_Barrier(MPI_COMM_WORLD);
  }
  [[nodiscard]] Contents inspected(int ranks) const {
    return inspect(path("run-1_5_breakpoint.rank*of" + std::to_string(ranks) + ".shard"));
  }
  static constexpr Time kThen{std::chrono::seconds{1'700'000'000}};
};

TEST_F(InspectLone, PiecesThatDisagreeOnTheShapeAreDamageAndNotTaken) {
  write_lone(0, 1, 3, kThen,
             {{"w[0:8/8,0:2/2]", DType::float32, {8, 2}}, {"w[0:8/8]", DType::float32, {8}}});
  const Contents contents = inspected(1);
  ASSERT_TRUE(contents.problem.has_value());
  EXPECT_THAT(contents.problem->what(), ::testing::HasSubstr("\"w\""));
  EXPECT_TRUE(contents.lacks.has_value());
}

TEST_F(InspectLone, OfTwoAttemptsTheNewestBySequenceCountsWhateverTheClockSaid) {
  write_lone(0, 2, 4, kThen, {{"w[0:4/8]", DType::float32, {4}}});
  write_lone(1, 2, 3, kThen + std::chrono::hours{1}, {{"w[4:8/8]", DType::float32, {4}}});
  const Contents contents = inspected(2);
  EXPECT_EQ(contents.sequence, 4U);
  ASSERT_EQ(contents.files.size(), 2U);
  EXPECT_FALSE(contents.files[0].problem.has_value());
  EXPECT_TRUE(contents.files[1].problem.has_value()) << "of another attempt";
  EXPECT_TRUE(contents.lacks.has_value());
}

}  // namespace
}  // namespace cairn::test
