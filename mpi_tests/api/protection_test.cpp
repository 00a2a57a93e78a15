// crc_check, enc_key and enc_mode as settings: what is refused, that it works in every way of
// saving, and that nothing of a secret state or of its key is left anywhere.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "api/world.hpp"

namespace cairn::test {
namespace {

constexpr std::array kModes{EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc};
const std::string kMark = "Rosenkohl-7731";

Key key_of(std::size_t bytes, unsigned seed = 1) {
  return Key::with_bytes(bytes, [&](std::span<std::byte> key) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i * 37 + seed);
  });
}

/// The longest key that a mode takes.
Key key_for(EncMode mode) {
  return key_of(mode == EncMode::sm4_cbc ? 16 : 32);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ProtectionTest : public World {
 protected:
  /// A marked name, and values that spell a mark over and over; larger than a few blocks.
  ProtectionTest() : rows_(split({3000, 50}, 0, rank(), ranks())) {
    values_.resize(element_count(rows_.extent));
    for (std::size_t i = 0; i < values_.size(); ++i) {
      values_[i] = expected(rows_.offset[0] * 50 + i);
    }
  }

  static char expected(std::size_t index) { return kMark[index % kMark.size()]; }

  State state() {
    State state;
    state.add("name " + kMark, std::span(reinterpret_cast<std::int8_t*>(values_.data()),
                                         values_.size()), rows_);
    return state;
  }

  /// Loads by columns, on all ranks, and compares every element.
  void expect_loaded(const std::filesystem::path& from, const LoadOptions& options,
                     Verified verified) {
    const Slice columns = split({3000, 50}, 1, rank(), ranks());
    std::vector<std::int8_t> loaded(element_count(columns.extent));
    State into;
    into.add("name " + kMark, std::span(loaded), columns);
    const LoadReport report = load(MPI_COMM_WORLD, from, into, options);
    EXPECT_EQ(report.verified, verified);
    EXPECT_TRUE(report.warnings.empty());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      const std::size_t row = i / columns.extent[1];
      const std::size_t column = columns.offset[1] + i % columns.extent[1];
      wrong += loaded[i] != expected(row * 50 + column) ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0U);
  }

  /// Every file below the directory, names too, in one text.
  [[nodiscard]] std::string all_bytes() const {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory())) {
      all += entry.path().filename().string() + "\n";
      if (entry.is_regular_file()) all += read_file(entry.path());
    }
    return all;
  }

  Slice rows_;
  std::vector<char> values_;
};

void expect_config_error(CheckpointSettings settings, const std::vector<std::string>& words) {
  expect_error([&] { CheckpointConfig{std::move(settings)}; }, ErrorCode::invalid_argument, words);
}

TEST_F(ProtectionTest, KeyOfALengthThatTheModeDoesNotTakeIsRefusedWhenTheConfigIsMade) {
  expect_config_error({.enc_key = key_of(31)}, {"enc_key has 31 bytes", "AES-GCM", "16, 24 or 32"});
  expect_config_error({.enc_key = key_of(8), .enc_mode = EncMode::aes_cbc},
                      {"enc_key has 8 bytes", "AES-CBC", "16, 24 or 32"});
  expect_config_error({.enc_key = key_of(32), .enc_mode = EncMode::sm4_cbc},
                      {"enc_key has 32 bytes", "SM4-CBC takes 16"});
}

TEST_F(ProtectionTest, EveryLengthThatAModeTakesIsTaken) {
  for (const std::size_t bytes : {16, 24, 32}) {
    EXPECT_EQ(CheckpointConfig({.enc_key = key_of(bytes)}).enc_key(), key_of(bytes));
    EXPECT_NO_THROW(CheckpointConfig({.enc_key = key_of(bytes), .enc_mode = EncMode::aes_cbc}));
  }
  EXPECT_NO_THROW(CheckpointConfig({.enc_key = key_of(16), .enc_mode = EncMode::sm4_cbc}));
}

TEST_F(ProtectionTest, ModeWithoutAKeyIsNotLookedAt) {
  const CheckpointConfig config({.enc_mode = EncMode::sm4_cbc, .crc_check = true});
  EXPECT_TRUE(config.enc_key().empty());
  EXPECT_EQ(config.enc_mode(), EncMode::sm4_cbc);
  EXPECT_TRUE(config.crc_check());
}

TEST_F(ProtectionTest, KeyTogetherWithCrcCheckIsRefused) {
  expect_config_error({.enc_key = key_of(32), .crc_check = true},
                      {"crc_check is true", "enc_key", "takes false"});
}

TEST_F(ProtectionTest, WriterThatCannotProtectIsRefused) {
  CheckpointSettings settings{.crc_check = true};
  settings.write.writer = Writer::hdf5;
  expect_config_error(settings, {"crc_check is true", "the writer is hdf5", "direct or mpiio"});
  settings.crc_check = false;
  settings.enc_key = key_of(32);
  expect_config_error(settings, {"enc_key is set", "the writer is hdf5", "direct or mpiio"});
}

TEST_F(ProtectionTest, SaveAndLoadCheckTheirOptionsToo) {
  SaveOptions bad;
  bad.enc_key = key_of(5);
  const State mine = state();
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5.enc"), mine, bad); },
               ErrorCode::invalid_argument, {"enc_key has 5 bytes"});
  EXPECT_TRUE(names().empty());
  State into = state();
  expect_error(
      [&] {
        load(MPI_COMM_WORLD, path("x.h5.enc"), into,
             {.enc_key = key_of(24), .enc_mode = EncMode::sm4_cbc});
      },
      ErrorCode::invalid_argument, {"enc_key has 24 bytes", "SM4-CBC takes 16"});
}

TEST_F(ProtectionTest, KeysThatDifferOverRanksAreRefusedAndNotShown) {
  if (ranks() == 1) GTEST_SKIP() << "one rank differs from nobody";
  SaveOptions options;
  options.enc_key = key_of(32, rank() == 1 ? 7 : 1);
  const State mine = state();
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5.enc"), mine, options); },
               ErrorCode::invalid_argument, {"rank 1", "enc_key"});
  expect_error(
      [&] {
        ModelCheckpoint(MPI_COMM_WORLD, "x", directory(),
                        {.enc_key = key_of(32, rank() == 1 ? 7 : 1)});
      },
      ErrorCode::invalid_argument, {"rank 1", "the settings"});
  EXPECT_TRUE(names().empty());
}

TEST_F(ProtectionTest, EveryModeAndKindOfSaveIsLoadedInAnotherSlicing) {
  const State mine = state();
  for (const EncMode mode : kModes) {
    for (const bool integrated : {true, false}) {
      SaveOptions options;
      options.integrated_save = integrated;
      options.enc_key = key_for(mode);
      options.enc_mode = mode;
      const auto where = path(std::string(to_string(mode)) + (integrated ? ".h5.enc" : ".shards"));
      save(MPI_COMM_WORLD, where, mine, options);
      expect_loaded(where, {.enc_key = key_for(mode)}, Verified::seal);
      expect_loaded(where, {.enc_key = key_for(mode), .enc_mode = mode}, Verified::seal);
    }
  }
}

TEST_F(ProtectionTest, CrcsAreThereWithEitherWriterAndKindOfSave) {
  const State mine = state();
  for (const Writer writer : {Writer::direct, Writer::mpiio}) {
    for (const bool integrated : {true, false}) {
      if (!integrated && writer != Writer::direct) continue;
      SaveOptions options;
      options.writer = writer;
      options.integrated_save = integrated;
      options.crc_check = true;
      const auto where = path(std::string(to_string(writer)) + (integrated ? ".h5" : ".shards"));
      save(MPI_COMM_WORLD, where, mine, options);
      expect_loaded(where, {.crc_check = true}, Verified::crc);
      expect_loaded(where, {}, Verified::crc);
    }
  }
}

TEST_F(ProtectionTest, CrcAskedForAndNotThereIsARefusal) {
  const State mine = state();
  SaveOptions shards;
  shards.integrated_save = false;
  save(MPI_COMM_WORLD, path("x.h5"), mine);
  save(MPI_COMM_WORLD, path("x.shards"), mine, shards);
  for (const char* name : {"x.h5", "x.shards"}) {
    State into = state();
    expect_error([&] { load(MPI_COMM_WORLD, path(name), into, {.crc_check = true}); },
                 ErrorCode::mismatch, {name, "holds no CRCs", "crc_check"});
    expect_loaded(path(name), {}, Verified::structure);
  }
}

TEST_F(ProtectionTest, SealedByMpiIoThenItIsTheSameKindOfFile) {
  const State mine = state();
  SaveOptions options;
  options.writer = Writer::mpiio;
  options.enc_key = key_of(24);
  save(MPI_COMM_WORLD, path("x.h5.enc"), mine, options);
  expect_loaded(path("x.h5.enc"), {.enc_key = key_of(24)}, Verified::seal);
}

TEST_F(ProtectionTest, SealedShardUnderTheNameOfACheckpointIsNone) {
  const State mine = state();
  SaveOptions options;
  options.integrated_save = false;
  options.enc_key = key_of(32);
  save(MPI_COMM_WORLD, path("x.shards"), mine, options);
  on_root([&] {
    const std::string name = "shard-0of" + std::to_string(ranks()) + ".h5.enc";
    std::filesystem::copy_file(path("x.shards") / name, path("y.h5.enc"));
  });
  State into = state();
  expect_error([&] { load(MPI_COMM_WORLD, path("y.h5.enc"), into, {.enc_key = key_of(32)}); },
               ErrorCode::damaged, {"y.h5.enc", "it is file 0 of", "not a checkpoint of its own"});
}

TEST_F(ProtectionTest, RestoreOptionsThatDifferOverRanksAreRefused) {
  if (ranks() == 1) GTEST_SKIP() << "one rank differs from nobody";
  const State mine = state();
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "x", directory());
  checkpoint.save(1, mine);
  State into = state();
  expect_error([&] { checkpoint.restore(into, {.strict = rank() != 1}); },
               ErrorCode::invalid_argument, {"rank 1", "the options of a load"});
}

TEST_F(ProtectionTest, EqualStatesAndTimesStillGiveOtherBytesWhenTheyAreSealed) {
  const State mine = state();
  SaveOptions options;
  options.enc_key = key_of(32);
  options.saved_at = Time(std::chrono::seconds(1'700'000'000));
  save(MPI_COMM_WORLD, path("a.h5.enc"), mine, options);
  save(MPI_COMM_WORLD, path("b.h5.enc"), mine, options);
  const std::string a = read_file(path("a.h5.enc"));
  const std::string b = read_file(path("b.h5.enc"));
  ASSERT_EQ(a.size(), b.size());
  std::uint32_t begin = 0;  // of the blocks
  std::memcpy(&begin, &a[12], sizeof begin);
  std::size_t equal = 0;
  for (std::size_t i = begin; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  // By chance one byte in 256 is.
  EXPECT_LT(equal, (a.size() - begin) / 128);
}

/// Looks into the directory while the save is under way: the temporary file is there then.
class Spy : public Listener {
 public:
  explicit Spy(std::function<void(Phase)> look) : look_(std::move(look)) {}
  void phase(const Event&, Phase phase) override { look_(phase); }

 private:
  std::function<void(Phase)> look_;
};

TEST_F(ProtectionTest, NothingOfASecretStateIsInAnyFileAtAnyPhase) {
  const State mine = state();
  for (const EncMode mode : kModes) {
    for (const bool integrated : {true, false}) {
      std::size_t looked = 0;
      Spy spy([&](Phase phase) {
        if (rank() != 0 || phase < Phase::syncing) return;
        const std::string all = all_bytes();
        EXPECT_EQ(all.find(kMark.substr(0, 9)), std::string::npos) << to_string(phase);
        EXPECT_EQ(all.find("\x89HDF\r\n\x1A\n"), std::string::npos) << to_string(phase);
        looked += all.size() > 1'000 ? 1 : 0;
      });
      SaveOptions options;
      options.integrated_save = integrated;
      options.enc_key = key_for(mode);
      options.enc_mode = mode;
      options.listener = &spy;
      save(MPI_COMM_WORLD, path("x"), mine, options);
      if (rank() == 0) {
        EXPECT_EQ(looked, 3U);  // syncing, completing, publishing
        EXPECT_EQ(all_bytes().find(kMark.substr(0, 9)), std::string::npos);
      }
      MPI_Barrier(MPI_COMM_WORLD);
    }
  }
  save(MPI_COMM_WORLD, path("plain.h5"), mine);  // the search does find what is there
  if (rank() == 0) {
    EXPECT_NE(all_bytes().find(kMark), std::string::npos);
  }
}

TEST_F(ProtectionTest, KeyFileIsReadAndAnotherOneRefused) {
  on_root([&] {
    std::ofstream(path("key")) << "00112233445566778899AABBccddeeff\n";
    std::ofstream(path("bad")) << "00112233445566778899AABBccddeefg\n";
    std::ofstream(path("empty"));
  });
  EXPECT_EQ(read_key_file(path("key")).bytes().size(), 16U);
  EXPECT_EQ(read_key_file(path("key")).bytes()[15], std::byte{0xFF});
  expect_error([&] { read_key_file(path("bad")); }, ErrorCode::invalid_argument, {"bad", "30 and 31"});
  expect_error([&] { read_key_file(path("empty")); }, ErrorCode::invalid_argument, {"0 bytes"});
  expect_error([&] { read_key_file(path("none")); }, ErrorCode::not_found, {"none"});
}

}  // namespace
}  // namespace cairn::test
