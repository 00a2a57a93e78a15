// append_info as settings and as what comes back: every type of value, counters, sliced tensors, in
// every kind of file; and each thing that is refused.
#include <cmath>
#include <fstream>
#include <limits>

#include "api/world.hpp"

namespace cairn::test {
namespace {

constexpr std::array kModes{EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc};

Key key_for(EncMode mode) {
  return Key::with_bytes(mode == EncMode::sm4_cbc ? 16 : 32, [](std::span<std::byte> key) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i * 37 + 1);
  });
}

/// A matrix of which each rank holds some rows or columns.
struct Matrix {
  static constexpr std::uint64_t kRows = 300;
  static constexpr std::uint64_t kColumns = 70;

  Matrix(std::size_t dim, int part, int parts)
      : slice(split({kRows, kColumns}, dim, part, parts)), values(element_count(slice.extent)) {}

  [[nodiscard]] float expected(std::size_t i, float scale) const {
    const std::uint64_t row = slice.offset[0] + i / slice.extent[1];
    const std::uint64_t column = slice.offset[1] + i % slice.extent[1];
    return scale * static_cast<float>(row * kColumns + column);
  }
  void fill(float scale) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = expected(i, scale);
  }
  [[nodiscard]] std::size_t wrong(float scale) const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      wrong += values[i] != expected(i, scale) ? 1 : 0;
    }
    return wrong;
  }

  Slice slice;
  std::vector<float> values;
};

SaveOptions appending(AppendDict dict) {
  SaveOptions options;
  options.append_info = std::move(dict);
  return options;
}

class AppendInfoTest : public World {
 protected:
  AppendInfoTest() { weights_.fill(1); }

  /// Rows of "w" on this rank.
  State state() {
    State state;
    state.add("w", std::span(weights_.values), weights_.slice);
    return state;
  }

  /// One of each type. The names are such as need an escape, and those of the state's tensors.
  static AppendDict dict(Matrix& ema, std::int32_t& seed) {
    return {{"lr", 0.1},
            {"step", -42},
            {"on", true},
            {"off", false},
            {"note", "größer als 1"},
            {"nothing", ""},
            {"w", 7U},
            {"w/inner", 0.5F},
            {"append_info/x", std::uint8_t{255}},
            {"..", "dots"},
            {"seed", AppendTensor(seed)},
            {"ema", AppendTensor(std::span(ema.values), ema.slice)}};
  }

  static AppendedInfo told() {
    return {{"lr", 0.1},
            {"step", std::int64_t{-42}},
            {"on", true},
            {"off", false},
            {"note", std::string("größer als 1")},
            {"nothing", std::string()},
            {"w", std::int64_t{7}},
            {"w/inner", 0.5},
            {"append_info/x", std::int64_t{255}},
            {"..", std::string("dots")},
            {"seed", AppendedTensor{DType::int32, {}}},
            {"ema", AppendedTensor{DType::float32, {Matrix::kRows, Matrix::kColumns}}}};
  }

  /// Loads by columns, state and appended tensors, and compares everything.
  void expect_loaded(const std::filesystem::path& from, LoadOptions options = {}) {
    Matrix weights(1, rank(), ranks());
    Matrix ema(1, rank(), ranks());
    std::int32_t seed = 0;
    State into;
    into.add("w", std::span(weights.values), weights.slice);
    options.append_info = dict(ema, seed);
    const LoadReport report = load(MPI_COMM_WORLD, from, into, options);
    EXPECT_EQ(report.append_info, told()) << from;
    EXPECT_EQ(report.warnings, std::vector<std::string>());
    EXPECT_EQ(report.tensors, 1U);
    EXPECT_EQ(weights.wrong(1), 0U) << from;
    EXPECT_EQ(ema.wrong(3), 0U) << from;
    EXPECT_EQ(seed, 11) << from;
  }

  /// What is told of the file without loading it.
  static void expect_inspected(const std::filesystem::path& path, const InspectOptions& options) {
    const Contents contents = inspect(path, options);
    AppendedInfo found;
    for (const StoredInfo& info : contents.append_info) {
      ASSERT_TRUE(info.value) << info.name << ": " << info.problem->what();
      found.emplace(info.name, *info.value);
    }
    EXPECT_EQ(found, told()) << path;
    ASSERT_EQ(contents.tensors.size(), 1U) << path;
    EXPECT_EQ(contents.tensors[0].name, "w");
    EXPECT_EQ(contents.value_bytes, Matrix::kRows * Matrix::kColumns * sizeof(float));
  }

  Matrix weights_{0, rank(), ranks()};
};

TEST_F(AppendInfoTest, EveryTypeComesBackFromEveryKindOfFile) {
  Matrix ema(0, rank(), ranks());
  ema.fill(3);
  std::int32_t seed = 11;
  const State mine = state();
  for (const bool integrated : {true, false}) {
    for (const bool crc : {true, false}) {
      for (const Writer writer : {Writer::direct, Writer::mpiio, Writer::hdf5}) {
        if ((!integrated && writer != Writer::direct) || (crc && writer == Writer::hdf5)) continue;
        SaveOptions options = appending(dict(ema, seed));
        options.integrated_save = integrated;
        options.crc_check = crc;
        options.writer = writer;
        const auto where = path(std::string(to_string(writer)) + (crc ? "-crc" : "") +
                                (integrated ? ".h5" : ".shards"));
        const SaveReport report = save(MPI_COMM_WORLD, where, mine, options);
        EXPECT_EQ(report.tensors, 1U);
        EXPECT_EQ(report.value_bytes, Matrix::kRows * Matrix::kColumns * sizeof(float));
        expect_loaded(where, {.crc_check = crc});
        expect_inspected(where, {});
        EXPECT_TRUE(verify(MPI_COMM_WORLD, where).good());
      }
    }
  }
}

TEST_F(AppendInfoTest, EncryptedThenItComesBackFromEveryModeAndNothingOfItShows) {
  Matrix ema(0, rank(), ranks());
  ema.fill(3);
  std::int32_t seed = 11;
  const State mine = state();
  for (const EncMode mode : kModes) {
    for (const bool integrated : {true, false}) {
      SaveOptions options = appending(dict(ema, seed));
      options.integrated_save = integrated;
      options.enc_key = key_for(mode);
      options.enc_mode = mode;
      const auto where = path(std::string(to_string(mode)) + (integrated ? ".h5.enc" : ".shards"));
      save(MPI_COMM_WORLD, where, mine, options);
      expect_loaded(where, {.enc_key = key_for(mode)});
      expect_inspected(where, {.enc_key = key_for(mode)});
      VerifyOptions verifying;
      verifying.enc_key = key_for(mode);
      EXPECT_TRUE(verify(MPI_COMM_WORLD, where, verifying).good());
      if (!integrated) continue;
      std::ifstream file(where, std::ios::binary);
      const std::string raw{std::istreambuf_iterator<char>(file), {}};
      for (const char* secret : {"append_info", "als 1", "nothing"}) {
        EXPECT_EQ(raw.find(secret), raw.npos) << secret;
      }
    }
  }
}

/// The ranks [0, count) as a communicator of their own; null on the others.
MPI_Comm first_ranks(int count) {
  MPI_Comm some = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank_of() < count ? 0 : MPI_UNDEFINED, 0, &some);
  return some;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(AppendInfoTest, SavedByAnyNumberOfRanksThenItIsTheSameFileAndLoadedByAll) {
  for (int count = 1; count <= ranks(); ++count) {
    MPI_Comm some = first_ranks(count);
    const auto where = path(std::to_string(count) + ".h5");
    if (some != MPI_COMM_NULL) {
      Matrix weights(0, rank(), count);
      Matrix ema(count % 2 == 0 ? 0 : 1, rank(), count);
      std::int32_t seed = 11;
      weights.fill(1);
      ema.fill(3);
      State mine;
      mine.add("w", std::span(weights.values), weights.slice);
      SaveOptions options = appending(dict(ema, seed));
      options.saved_at = Time(std::chrono::seconds(1'700'000'000));
      save(some, where, mine, options);
      MPI_Comm_free(&some);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    expect_loaded(where);
    EXPECT_TRUE(read_file(where) == read_file(path("1.h5"))) << count << " ranks";
  }
}

TEST_F(AppendInfoTest, CountersCountFromTheirBases) {
  const CheckpointSettings settings{
      .append_info = {"epoch_num", AppendDict{{"step_num", 1000}, {"lr", 0.5}}},
      .steps_per_epoch = 10};
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings);
  State mine = state();
  checkpoint.save(25, mine);
  const auto restored = checkpoint.restore(mine);
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->append_info, (AppendedInfo{{"epoch_num", std::int64_t{3}},
                                                 {"step_num", std::int64_t{1025}},
                                                 {"lr", 0.5}}));
}

TEST_F(AppendInfoTest, TensorIsSavedAsItIsAtEachSaveAndFilledByRestore) {
  Matrix ema(1, rank(), ranks());
  double loss = 0.25;
  const AppendDict dict{{"ema", AppendTensor(std::span(ema.values), ema.slice)},
                        {"loss", AppendTensor(loss)}};
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(),
                             {.append_info = {"step_num", dict}});
  State mine = state();
  ema.fill(2);
  checkpoint.save(1, mine);
  ema.fill(5);
  loss = 0.125;
  checkpoint.save(2, mine);
  ema.fill(9);
  loss = 9;
  const auto restored = checkpoint.restore(mine);
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->step, 2U);
  EXPECT_EQ(ema.wrong(5), 0U);
  EXPECT_EQ(loss, 0.125);
  EXPECT_EQ(restored->append_info,
            (AppendedInfo{{"ema", AppendedTensor{DType::float32, {300, 70}}},
                          {"loss", 0.125},
                          {"step_num", std::int64_t{2}}}));
}

TEST_F(AppendInfoTest, AsynchronousSaveHasWhatWasThereAtTheStep) {
  for (const bool integrated : {true, false}) {
    Matrix ema(1, rank(), ranks());
    double loss = 0.25;
    const AppendDict dict{{"ema", AppendTensor(std::span(ema.values), ema.slice)},
                          {"loss", AppendTensor(loss)},
                          {"note", "async"}};
    ModelCheckpoint checkpoint(
        MPI_COMM_WORLD, integrated ? "file" : "shards", directory(),
        {.integrated_save = integrated, .append_info = {"step_num", dict}, .async_save = true});
    {
      const State mine = state();
      for (std::uint64_t step = 1; step <= 3; ++step) {
        ema.fill(static_cast<float>(step));
        loss = 0.5 * static_cast<double>(step);
        EXPECT_EQ(checkpoint.step_end(step, mine), Next::go_on);
        ema.fill(99);
        loss = 99;
      }
    }  // the state may go now
    EXPECT_TRUE(checkpoint.wait());
    State into = state();
    const auto restored = checkpoint.restore(into);
    ASSERT_TRUE(restored);
    EXPECT_EQ(restored->step, 3U);
    EXPECT_EQ(ema.wrong(3), 0U);
    EXPECT_EQ(loss, 1.5);
    EXPECT_EQ(restored->append_info.at("step_num"), AppendedValue(std::int64_t{3}));
    EXPECT_EQ(restored->append_info.at("note"), AppendedValue("async"));
  }
}

TEST_F(AppendInfoTest, SavedNetworkHasItBesideIt) {
  State mine = state();
  double other = 2;
  State network;
  network.add("other", other);
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(),
                             {.append_info = {"step_num", AppendDict{{"lr", 0.5}}},
                              .saved_network = &network});
  const SaveReport report = checkpoint.save(4, mine);
  const LoadReport loaded = load(MPI_COMM_WORLD, report.path, network);
  EXPECT_EQ(loaded.append_info, (AppendedInfo{{"lr", 0.5}, {"step_num", std::int64_t{4}}}));
}

TEST_F(AppendInfoTest, TensorOfTheStateUnderTheNameOfTheGroupIsNoEntry) {
  double mine = 1;
  double appended = 2;
  State tensors;
  tensors.add("append_info/lr", mine).add("append_info", mine);
  for (const bool integrated : {true, false}) {
    SaveOptions options = appending({{"lr", AppendTensor(appended)}});
    options.integrated_save = integrated;
    const auto where = path(integrated ? "x.h5" : "x.shards");
    save(MPI_COMM_WORLD, where, tensors, options);
    mine = appended = 0;
    const LoadReport report =
        load(MPI_COMM_WORLD, where, tensors, {.append_info = {{"lr", AppendTensor(appended)}}});
    EXPECT_EQ(report.append_info, (AppendedInfo{{"lr", 2.0}}));
    EXPECT_EQ(report.tensors, 2U);
    EXPECT_EQ(mine, 1);
    EXPECT_EQ(appended, 2);
  }
}

TEST_F(AppendInfoTest, LongerTextMakesANewPlanAndTheSameLengthNone) {
  State mine = state();
  std::string note = "short";
  const auto save_with_note = [&](const char* name) {
    return save(MPI_COMM_WORLD, path(name), mine, appending({{"note", note}}));
  };
  save_with_note("a.h5");
  note = std::string(std::size_t{64} << 10, 'x');
  save_with_note("b.h5");
  const LoadReport report = load(MPI_COMM_WORLD, path("b.h5"), mine);
  EXPECT_EQ(report.append_info, (AppendedInfo{{"note", note}}));
}

TEST_F(AppendInfoTest, TensorThatTheFileDoesNotHaveIsLeftWithAWarning) {
  State mine = state();
  save(MPI_COMM_WORLD, path("old.h5"), mine);
  Matrix ema(0, rank(), ranks());
  ema.fill(4);
  const LoadReport report =
      load(MPI_COMM_WORLD, path("old.h5"), mine,
           {.append_info = {{"ema", AppendTensor(std::span(ema.values), ema.slice)}}});
  EXPECT_EQ(ema.wrong(4), 0U);
  EXPECT_TRUE(report.append_info.empty());
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_EQ(report.warnings[0], "append_info \"ema\" float32 [300, 70] is not in " +
                                    path("old.h5").string() + ": it is not filled");
}

TEST_F(AppendInfoTest, TensorOfAnotherTypeIsAMismatchUnlessTheLoadIsNotStrict) {
  State mine = state();
  double lr = 0.5;
  float single = 3;
  std::vector<std::uint8_t> bytes(2, 9);
  save(MPI_COMM_WORLD, path("x.h5"), mine,
       appending({{"lr", AppendTensor(lr)}, {"note", "ab"}}));
  LoadOptions options{.append_info = {{"lr", AppendTensor(single)}}};
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), mine, options); }, ErrorCode::mismatch,
               {"append_info \"lr\" is float64 [] in the file, float32 [] in the state",
                "state unchanged"});
  EXPECT_EQ(single, 3);
  options.strict = false;
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), mine, options);
  ASSERT_EQ(report.different.size(), 1U);
  EXPECT_EQ(single, 3);
  options.convert_dtype = true;
  load(MPI_COMM_WORLD, path("x.h5"), mine, options);
  EXPECT_EQ(single, 0.5F);
  options = {.append_info = {{"note", AppendTensor(std::span(bytes), whole({2}))}}};
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), mine, options); }, ErrorCode::mismatch,
               {"append_info \"note\" is a text of 2 bytes in the file, uint8 [2] in the state"});
}

TEST_F(AppendInfoTest, TensorThatCanOnlyBeReadIsSavedAndNotFilled) {
  State mine = state();
  const std::vector<std::int16_t> fixed{1, 2, 3};
  const AppendDict dict{{"fixed", AppendTensor(std::span(fixed), whole({3}))}};
  save(MPI_COMM_WORLD, path("x.h5"), mine, appending(dict));
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), mine, {.append_info = dict});
  EXPECT_EQ(report.append_info, (AppendedInfo{{"fixed", AppendedTensor{DType::int16, {3}}}}));
  EXPECT_TRUE(report.warnings.empty());
}

TEST_F(AppendInfoTest, FilterAndPrefixesDoNotTouchIt) {
  State mine = state();
  double lr = 0.5;
  save(MPI_COMM_WORLD, path("x.h5"), mine, appending({{"lr", AppendTensor(lr)}}));
  lr = 0;
  State into;
  into.add("old.w", std::span(weights_.values), weights_.slice);
  load(MPI_COMM_WORLD, path("x.h5"), into,
       {.filter = [](std::string_view name) { return name.ends_with("w"); },
        .strip_prefix = "old.",
        .append_info = {{"lr", AppendTensor(lr)}}});
  EXPECT_EQ(lr, 0.5);
}

TEST_F(AppendInfoTest, ValuesThatDifferOverRanksAreRefused) {
  if (ranks() == 1) GTEST_SKIP() << "one rank differs from nobody";
  const State mine = state();
  for (const AppendDict& dict :
       {AppendDict{{"seed", rank() == 1 ? 2 : 1}}, AppendDict{{rank() == 1 ? "a" : "b", 1}},
        rank() == 1 ? AppendDict{{"x", 1.0}} : AppendDict{{"x", 1}},
        AppendDict{{"note", rank() == 1 ? "one" : "two"}}, AppendDict{{"on", rank() == 1}}}) {
    expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), mine, appending(dict)); },
                 ErrorCode::invalid_argument, {"rank 1", "append_info"});
    expect_error(
        [&] { ModelCheckpoint(MPI_COMM_WORLD, "x", directory(), {.append_info = {dict}}); },
        ErrorCode::invalid_argument, {"rank 1", "the settings"});
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(AppendInfoTest, TensorWhoseSlicesAreNoWholeIsALayoutErrorThatNamesIt) {
  const State mine = state();
  std::vector<float> half(2);
  const AppendDict dict{{"ema", AppendTensor(std::span(half), {{4}, {0}, {2}})}};
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), mine, appending(dict)); },
               ErrorCode::layout, {"append_info \"ema\" of shape [4]", "index [2]"});
  const AppendDict short_one{{"ema", AppendTensor(std::span(half), whole({4}))}};
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), mine, appending(short_one)); },
               ErrorCode::invalid_argument, {"append_info \"ema\": the memory given has 8 bytes"});
  EXPECT_TRUE(names().empty());
}

TEST_F(AppendInfoTest, CounterThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  const State mine = state();
  ModelCheckpoint checkpoint(
      MPI_COMM_WORLD, "run", directory(),
      {.append_info = {AppendDict{{"step_num", std::numeric_limits<std::int64_t>::max()}}}});
  expect_error([&] { checkpoint.save(1, mine); }, ErrorCode::invalid_argument,
               {"\"step_num\" is 1 and the base 9223372036854775807", "at most"});
  EXPECT_TRUE(names().empty());
}

TEST_F(AppendInfoTest, DamagedValueIsFoundAndNamed) {
  const State mine = state();
  SaveOptions options = appending({{"note", "Rosenkohl-7731"}});
  options.crc_check = true;
  save(MPI_COMM_WORLD, path("x.h5"), mine, options);
  on_root([&] {
    std::string raw = read_file(path("x.h5"));
    raw[raw.find("Rosenkohl")] ^= 1;
    std::ofstream(path("x.h5"), std::ios::binary) << raw;
  });
  State into = state();
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), into); }, ErrorCode::damaged,
               {"x.h5", "has the CRC", "'append_info/note'"});
  const VerifyReport report = verify(MPI_COMM_WORLD, path("x.h5"));
  ASSERT_EQ(report.damage.size(), 1U);
  EXPECT_EQ(report.damage[0].tensors.front(), "append_info/note");
  const Contents contents = inspect(path("x.h5"));
  ASSERT_EQ(contents.append_info.size(), 1U);
  EXPECT_FALSE(contents.append_info[0].value);
  ASSERT_TRUE(contents.append_info[0].problem);
  EXPECT_EQ(contents.append_info[0].problem->code(), ErrorCode::damaged);
  EXPECT_TRUE(contents.problem);
}

TEST_F(AppendInfoTest, FallbackToACheckpointWithoutTheTensorSaysThatItMayHaveChanged) {
  State mine = state();
  Matrix ema(0, rank(), ranks());
  const CheckpointSettings with_ema{
      .append_info = {AppendDict{{"ema", AppendTensor(std::span(ema.values), ema.slice)}}},
      .crc_check = true};
  ModelCheckpoint(MPI_COMM_WORLD, "run", directory(), {.crc_check = true}).save(1, mine);
  std::filesystem::path newest;
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), with_ema);
    checkpoint.restore(mine);
    newest = checkpoint.save(2, mine).path;
  }
  on_root([&] {
    std::string raw = read_file(newest);
    const Contents contents = inspect(newest);
    raw[*contents.tensors[0].pieces[0].position] ^= 1;
    std::ofstream(newest, std::ios::binary) << raw;
  });
  const auto restored = ModelCheckpoint(MPI_COMM_WORLD, "run", directory(), with_ema).restore(mine);
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->step, 1U);
  EXPECT_EQ(restored->skipped.size(), 1U);
  ASSERT_EQ(restored->warnings.size(), 2U);
  EXPECT_NE(restored->warnings[0].find("it is not filled"), std::string::npos);
  EXPECT_NE(restored->warnings[1].find("1 tensors were not loaded"), std::string::npos);
}

TEST_F(AppendInfoTest, ValuesInMissingShardsAreToldWithTheReason) {
  const State mine = state();
  Matrix ema(0, rank(), ranks());
  SaveOptions options =
      appending({{"lr", 0.5}, {"ema", AppendTensor(std::span(ema.values), ema.slice)}});
  options.integrated_save = false;
  save(MPI_COMM_WORLD, path("x.shards"), mine, options);
  on_root([&] {
    for (int r = 0; r < ranks(); ++r) {
      std::filesystem::remove(path("x.shards") / ("shard-" + std::to_string(r) + "of" +
                                                  std::to_string(ranks()) + ".h5"));
    }
  });
  const Contents contents = inspect(path("x.shards"));
  ASSERT_EQ(contents.append_info.size(), 2U);
  EXPECT_EQ(contents.append_info[0].name, "ema");
  EXPECT_TRUE(contents.append_info[0].value);  // type and shape are in the index
  EXPECT_FALSE(contents.append_info[1].value);
  ASSERT_TRUE(contents.append_info[1].problem);
  EXPECT_NE(std::string(contents.append_info[1].problem->what()).find("append_info/lr"),
            std::string::npos);
}

TEST_F(AppendInfoTest, ValueThatItsTypeDoesNotHaveIsDamageEvenWithoutCrcs) {
  const State mine = state();
  save(MPI_COMM_WORLD, path("x.h5"), mine, appending({{"note", "Rosenkohl-7731"}}));
  on_root([&] {
    std::string raw = read_file(path("x.h5"));
    raw[raw.find("Rosenkohl")] = '\0';
    std::ofstream(path("x.h5"), std::ios::binary) << raw;
  });
  State into = state();
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), into); }, ErrorCode::damaged,
               {"x.h5", "append_info \"note\" is a text with a zero byte in it", "unspecified"});
}

}  // namespace
}  // namespace cairn::test
