// Bad input: every rank throws the same clear error, and nothing is written or changed.
#include <fstream>

#include "api/world.hpp"

namespace cairn::test {
namespace {

class Errors : public World {
 protected:
  /// Rows of a [6, 2] tensor over three ranks.
  State rows(Slice slice) {
    values_.assign(element_count(slice.extent), 1.0F);
    State state;
    state.add("w", std::span(values_), std::move(slice));
    return state;
  }
  State good_rows() { return rows(split({6, 2}, 0, rank(), ranks())); }

  void expect_save_error(const State& state, ErrorCode code,
                         const std::vector<std::string>& words) {
    expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state); }, code, words);
    EXPECT_EQ(names(), std::vector<std::string>{});
  }
  void expect_load_error(State& state, ErrorCode code, const std::vector<std::string>& words) {
    expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), state); }, code, words);
  }

  std::vector<float> values_;
};

TEST_F(Errors, IndexThatNoRankHoldsIsNamed) {
  Slice slice = split({6, 2}, 0, rank(), ranks());
  if (rank() == 1) slice.extent[0] = 1;  // rows 2 and 3 are its; 3 is left out
  expect_save_error(rows(slice), ErrorCode::layout,
                    {"\"w\"", "[6, 2]", "index [3, 0]", "covered by no rank", "0, 1, 2"});
}

TEST_F(Errors, IndexThatTwoBoxesHoldIsNamedWithTheirRanks) {
  Slice slice = split({6, 2}, 0, rank(), ranks());
  if (rank() == 1) slice.extent[0] = 3;
  expect_save_error(rows(slice), ErrorCode::layout,
                    {"\"w\"", "index [4, 0]", "covered twice", "rank 1", "rank 2"});
}

TEST_F(Errors, RanksThatDisagreeOnTheTypeAreNamed) {
  std::vector<double> wide(4);
  State state = good_rows();
  if (rank() == 2) {
    state = State();
    state.add("w", std::span(wide), split({6, 2}, 0, 2, 3));
  }
  expect_save_error(state, ErrorCode::layout,
                    {"\"w\"", "rank 0 says float32 [6, 2]", "rank 2 says float64 [6, 2]"});
}

TEST_F(Errors, RanksThatDisagreeOnTheShapeAreNamed) {
  const State state = rows(split({6, rank() == 1 ? 3ULL : 2ULL}, 0, rank(), ranks()));
  expect_save_error(state, ErrorCode::layout,
                    {"\"w\"", "rank 0 says float32 [6, 2]", "rank 1 says float32 [6, 3]"});
}

TEST_F(Errors, EmptyNameOnOneRankIsAnErrorOnAll) {
  State state = good_rows();
  float scalar = 0;
  if (rank() == 1) state.add("", scalar);
  expect_save_error(state, ErrorCode::invalid_argument, {"rank 1", "a name must not be empty"});
}

TEST_F(Errors, SliceThatLeavesItsShapeIsNamed) {
  Slice slice = split({6, 2}, 0, rank(), ranks());
  if (rank() == 2) slice.offset[0] = 5;
  expect_save_error(rows(slice), ErrorCode::invalid_argument,
                    {"rank 2", "\"w\"", "leaves the global shape [6, 2]", "dimension 0"});
}

TEST_F(Errors, MemoryThatDoesNotFitTheSliceIsNamed) {
  std::vector<float> values(rank() == 0 ? 3 : 4);
  State state;
  state.add("w", std::span(values), split({6, 2}, 0, rank(), ranks()));
  expect_save_error(state, ErrorCode::invalid_argument,
                    {"rank 0", "\"w\"", "12 bytes", "16"});
}

TEST_F(Errors, CallbackThatThrowsFailsTheSaveOnAllRanks) {
  State state;
  state.add("w", split({6, 2}, 0, rank(), ranks()),
            Source::callbacks(DType::float32, [](std::uint64_t, std::uint64_t, std::byte*) {
              if (rank_of() == 1) throw std::runtime_error("the device is gone");
            }));
  expect_save_error(state, ErrorCode::io, {"rank 1", "the device is gone"});
}

TEST_F(Errors, CallbackThatThrowsAmongBlocksOfOthersLeavesNobodyWaitingInMpiIo) {
  // Columns: every block takes pieces of all ranks, which then write it in turns.
  const Slice slice = split({512, 3 * 1024}, 1, rank(), ranks());
  std::uint64_t calls = 0;
  State state;
  state.add("w", slice,
            Source::callbacks(DType::float32, [&](std::uint64_t, std::uint64_t n, std::byte* out) {
              if (rank() == 1 && ++calls == 40) throw std::runtime_error("the device is gone");
              std::fill_n(out, n * sizeof(float), std::byte{1});
            }));
  SaveOptions options;
  options.writer = Writer::mpiio;
  options.block_bytes = 65536;
  options.staging_bytes = 1;
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state, options); }, ErrorCode::io,
               {"rank 1", "the device is gone"});
  EXPECT_EQ(names(), std::vector<std::string>{});
  EXPECT_TRUE(rank() != 1 || calls >= 40) << calls;
}

TEST_F(Errors, FileThatIsRemovedWhileMpiIoWritesItIsNamed) {
  // As the sweep of another job may do: MPI-IO wants the locks for itself.
  struct Remover : Listener {
    void phase(const Event&, Phase phase) override {
      if (phase != Phase::syncing || rank_of() != 0) return;
      for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        std::filesystem::remove(entry.path());
      }
    }
    std::filesystem::path directory;
  } remover;
  remover.directory = directory();
  SaveOptions options;
  options.writer = Writer::mpiio;
  options.listener = &remover;
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), good_rows(), options); }, ErrorCode::io,
               {"x.h5", "was removed by somebody"});
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(Errors, WriterThatDiffersOverRanksIsRefused) {
  SaveOptions options;
  if (rank() == 2) options.writer = Writer::mpiio;
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), good_rows(), options); },
               ErrorCode::invalid_argument,
               {"options of a save", "writer", "same on every rank"});
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(Errors, DirectoryThatCannotBeMadeIsNamed) {
  on_root([&] { std::ofstream(path("file")) << "in the way"; });
  expect_error([&] { save(MPI_COMM_WORLD, path("file/x.h5"), good_rows()); }, ErrorCode::io,
               {path("file").string(), "make the directory"});
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(Errors, SpaceThatIsNotThereIsFoundBeforeDataMoves) {
  struct Phases : Listener {
    bool moved = false;
    void phase(const Event&, Phase phase) override { moved |= phase == Phase::moving; }
  } phases;
  // A petabyte; its values are never asked for.
  State state;
  state.add("w", split({1ULL << 20, 1ULL << 30}, 0, rank(), ranks()),
            Source::callbacks(DType::uint8, [](std::uint64_t, std::uint64_t, std::byte*) {
              ADD_FAILURE() << "a value was read";
            }));
  SaveOptions options;
  options.block_bytes = std::size_t{1} << 30;
  options.listener = &phases;
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state, options); }, ErrorCode::no_space,
               {"not enough space", path("").string()});
  EXPECT_FALSE(phases.moved);
  EXPECT_EQ(names(), std::vector<std::string>{});
}

/// A rank that stands still in a phase until rank 0 sends for it.
struct Laggard : Listener {
  bool lags = false;
  void phase(const Event&, Phase phase) override {
    if (!lags || phase != Phase::syncing) return;
    int word = 0;
    MPI_Recv(&word, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
};

TEST_F(Errors, RankThatDoesNotComeThenTheObjectIsBrokenForEveryLaterCall) {
  Laggard laggard;
  laggard.lags = rank() == 2;
  State state = good_rows();
  {
    CheckpointSettings settings{.listener = &laggard};
    settings.write.deadline = std::chrono::seconds{1};
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings);
    const auto code_of = [](auto&& call) {
      try {
        call();
      } catch (const Error& error) {
        return error.code();
      }
      return ErrorCode::invalid_argument;
    };
    EXPECT_EQ(code_of([&] { checkpoint.save(1, state); }), ErrorCode::unresponsive);
    if (rank() == 0) {
      const int word = 0;
      MPI_Send(&word, 1, MPI_INT, 2, 0, MPI_COMM_WORLD);
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto step_end = [&] { static_cast<void>(checkpoint.step_end(1, state)); };
    EXPECT_EQ(code_of(step_end), ErrorCode::unresponsive);
    EXPECT_EQ(code_of([&] { checkpoint.save(2, state); }), ErrorCode::unresponsive);
    EXPECT_EQ(code_of([&] { checkpoint.wait(); }), ErrorCode::unresponsive);
    EXPECT_EQ(code_of([&] { checkpoint.restore(state); }), ErrorCode::unresponsive);
    EXPECT_EQ(code_of([&] { checkpoint.end(2, state); }), ErrorCode::unresponsive);
    // None of them waited for anybody, which would take a deadline each.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{1});
  }
}

TEST_F(Errors, ListenerThatThrowsOnOneRankHarmsNobody) {
  struct Thrower : Listener {
    void started(const Event& event) override { complain(event); }
    void phase(const Event& event, Phase) override { complain(event); }
    void captured(const Event& event) override { complain(event); }
    void committed(const Event& event) override { complain(event); }
    void deleted(const Event& event) override { complain(event); }
    static void complain(const Event& event) {
      if (event.rank == 0) throw std::runtime_error("no log");
    }
  } thrower;
  State state = good_rows();
  for (const bool asynchronous : {false, true}) {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, asynchronous ? "async" : "sync", directory(),
                               {.keep_checkpoint_max = 1, .async_save = asynchronous,
                                .listener = &thrower});
    for (std::uint64_t step = 1; step <= 3; ++step) {
      EXPECT_EQ(checkpoint.step_end(step, state), Next::go_on);
    }
    checkpoint.end(3, state);
  }
  std::vector<std::string> left = names();
  std::erase_if(left, [](const std::string& name) { return name.starts_with("."); });
  EXPECT_EQ(left, (std::vector<std::string>{"async-1_3.h5", "sync-1_3.h5"}));
}

TEST_F(Errors, StepThatDiffersOverRanksIsRefused) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory());
  const State state = good_rows();
  const std::uint64_t step = rank() == 2 ? 8 : 7;
  expect_error([&] { checkpoint.save(step, state); }, ErrorCode::invalid_argument,
               {"step differs over ranks", "7 to 8"});
  EXPECT_EQ(names(), std::vector<std::string>{});
  checkpoint.save(7, state);  // the object is whole
  EXPECT_EQ(names(), (std::vector<std::string>{".lock-run", "run-1_7.h5"}));
}

TEST_F(Errors, DifferentCallsAtOnceAreRefused) {
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory());
  State state = good_rows();
  expect_error(
      [&] {
        if (rank() == 1) checkpoint.end(7, state);
        else checkpoint.save(7, state);
      },
      ErrorCode::invalid_argument, {"different calls"});
}

TEST_F(Errors, SettingsThatDifferOverRanksAreRefused) {
  expect_error(
      [&] {
        ModelCheckpoint(MPI_COMM_WORLD, "run", directory(),
                        {.save_checkpoint_steps = rank() == 1 ? 5 : 6});
      },
      ErrorCode::invalid_argument, {"settings", "same on every rank"});
}

TEST_F(Errors, BadPrefixIsRefused) {
  for (const char* prefix : {"", "a/b", "run_12"}) {
    expect_error([&] { ModelCheckpoint(MPI_COMM_WORLD, prefix, directory()); },
                 ErrorCode::invalid_argument, {"prefix"});
  }
}

TEST_F(Errors, FileThatIsNotThereIsNamed) {
  State state = good_rows();
  expect_load_error(state, ErrorCode::not_found, {path("x.h5").string(), "state unchanged"});
}

TEST_F(Errors, ForeignFileIsNamed) {
  on_root([&] { std::ofstream(path("x.h5")) << std::string(200'000, 'x'); });
  State state = good_rows();
  expect_load_error(state, ErrorCode::damaged, {path("x.h5").string(), "state unchanged"});
}

/// With a good checkpoint at x.h5 whose bytes can be changed.
class DamagedFile : public Errors {
 protected:
  DamagedFile() { save(MPI_COMM_WORLD, path("x.h5"), good_rows()); }

  void flip(std::int64_t offset_from_end) {
    on_root([&] {
      std::fstream file(path("x.h5"), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(offset_from_end, offset_from_end < 0 ? std::ios::end : std::ios::beg);
      const char byte = static_cast<char>(file.peek() ^ 0x40);
      file.seekp(offset_from_end, offset_from_end < 0 ? std::ios::end : std::ios::beg);
      file.put(byte);
    });
  }
  void expect_damage(const std::vector<std::string>& words) {
    State state = good_rows();
    std::ranges::fill(values_, 7.0F);
    expect_load_error(state, ErrorCode::damaged, words);
    EXPECT_EQ(values_, std::vector<float>(4, 7.0F)) << "the state was touched";
  }
};

TEST_F(DamagedFile, CutShort) {
  on_root([&] {
    std::filesystem::resize_file(path("x.h5"), std::filesystem::file_size(path("x.h5")) - 100);
  });
  expect_damage({"x.h5", "state unchanged"});
}

TEST_F(DamagedFile, Extended) {
  on_root([&] {
    std::filesystem::resize_file(path("x.h5"), std::filesystem::file_size(path("x.h5")) + 4096);
  });
  expect_damage({"x.h5", "state unchanged"});
}

TEST_F(DamagedFile, FlippedInTheHead) {
  flip(1000);
  expect_damage({"x.h5", "head", "state unchanged"});
}

TEST_F(DamagedFile, FlippedInTheRecord) {
  flip(-2000);
  expect_damage({"x.h5", "record", "state unchanged"});
}

TEST_F(DamagedFile, FlippedInTheTail) {
  flip(-4100);  // the block table stands before the record
  expect_damage({"x.h5", "tail", "state unchanged"});
}

TEST_F(Errors, EverythingThatDoesNotMatchIsListedAtOnce) {
  float scalar = 1;
  {
    State state = good_rows();
    state.add("scalar", scalar).add("only in the file", scalar);
    save(MPI_COMM_WORLD, path("x.h5"), state);
  }
  double wide = 5;
  State other = rows(split({6, 3}, 0, rank(), ranks()));
  other.add("scalar", wide);
  if (rank() == 1) other.add("only on rank 1", scalar);
  expect_load_error(other, ErrorCode::mismatch,
                    {"4 tensors", "extra in the file: \"only in the file\"",
                     "missing in the file: \"only on rank 1\"",
                     "different: \"scalar\" is float32 [] in the file, float64 [] in the state",
                     "different: \"w\" is float32 [6, 2] in the file, float32 [6, 3] in the state",
                     "state unchanged"});
  EXPECT_EQ(wide, 5);
}

TEST_F(Errors, AFilterThatThrowsOnOneRankFailsTheLoadOnAll) {
  save(MPI_COMM_WORLD, path("x.h5"), good_rows());
  State state = good_rows();
  const auto filter = [](std::string_view) -> bool {
    if (rank() == 2) throw std::out_of_range("no such name");
    return true;
  };
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), state, {.filter = filter}); },
               ErrorCode::io, {"rank 2", "no such name", "state unchanged"});
}

TEST_F(Errors, ConstantMemoryIsNotLoadedInto) {
  save(MPI_COMM_WORLD, path("x.h5"), good_rows());
  const std::vector<float> constant(4, 2.0F);
  State state;
  state.add("w", std::span(constant), split({6, 2}, 0, rank(), ranks()));
  expect_load_error(state, ErrorCode::invalid_argument, {"\"w\"", "can only be read"});
}

TEST_F(Errors, BlockSizeThatIsNoPowerOfTwoIsRefused) {
  SaveOptions options;
  options.block_bytes = 100'000;
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), good_rows(), options); },
               ErrorCode::invalid_argument, {"block_bytes", "100000"});
}

}  // namespace
}  // namespace cairn::test
