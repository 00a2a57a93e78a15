// A rank whose MPI fails while pieces of blocks are under way: nobody will complete them, and every
// other rank hears so long before its deadline.
#include <gmock/gmock.h>

#include <chrono>
#include <optional>

#include "api/training.hpp"

namespace {
/// Messages of at least so many bytes that this rank still sends or receives; the one after them
/// fails. Negative: none does.
int messages_left = -1;
int least_bytes = 0;

/// Letters between ranks that wait have a tag of their own.
bool fails(int tag, int bytes) {
  constexpr int kTagOfData = 0;
  return tag == kTagOfData && bytes >= least_bytes && messages_left >= 0 && messages_left-- == 0;
}
}  // namespace

// What Cairn sends and receives goes through here.
extern "C" int MPI_Isend(const void* bytes, int count, MPI_Datatype type, int to, int tag,
                         MPI_Comm comm, MPI_Request* request) {
  return fails(tag, count) ? MPI_ERR_OTHER : PMPI_Isend(bytes, count, type, to, tag, comm, request);
}
extern "C" int MPI_Irecv(void* bytes, int count, MPI_Datatype type, int from, int tag,
                         MPI_Comm comm, MPI_Request* request) {
  return fails(tag, count) ? MPI_ERR_OTHER
                           : PMPI_Irecv(bytes, count, type, from, tag, comm, request);
}

namespace cairn::test {
namespace {

using std::chrono::steady_clock;
using ::testing::HasSubstr;

/// What ranks tell each other to plan is smaller than this, most pieces of blocks are larger.
constexpr int kPieces = 4096;

struct LastPhase : Listener {
  std::optional<Phase> last;
  void phase(const Event&, Phase phase) override { last = phase; }
};

constexpr std::chrono::seconds kDeadline{60};

class BrokenOff : public Training {
 protected:
  void SetUp() override {
    train_to(1);
    save(MPI_COMM_WORLD, path("before.h5"), state_, options());
  }
  void TearDown() override { messages_left = -1; }

  static SaveOptions options() {
    SaveOptions options;
    static_cast<WriteOptions&>(options) = async().write;
    options.deadline = kDeadline;
    return options;
  }
  [[nodiscard]] static bool is_failing() { return rank() == ranks() - 1; }

  /// Runs `call` with a message of the last rank failing, after `left` others of at least `least`
  /// bytes, and judges what each rank hears.
  static void expect_all_hear(int least, int left, const std::function<void()>& call) {
    least_bytes = least;
    if (is_failing()) messages_left = left;
    const auto begin = steady_clock::now();
    const Error error = error_of(call);
    EXPECT_LT(steady_clock::now() - begin, kDeadline / 2);
    messages_left = -1;
    EXPECT_EQ(error.code(), ErrorCode::unresponsive) << error.what();
    EXPECT_EQ(error.rank(), ranks() - 1) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("failed with messages under way: MPI_I"));
    EXPECT_THAT(error.what(), HasSubstr("rank " + std::to_string(ranks() - 1)));
  }

  static Error error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    return {ErrorCode::io, "nothing was thrown"};
  }

  /// What was there before is whole, and ranks that talk anew read it.
  void expect_unharmed() {
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQ(names(), std::vector<std::string>{"before.h5"});
    spoil();
    load(MPI_COMM_WORLD, path("before.h5"), state_);
    EXPECT_EQ(wrong(1), 0U);
  }

  /// A run whose first save is broken off, in one of the calls that `calls` makes. Then it makes no
  /// more, and its end waits for nobody.
  void expect_run_ends(CheckpointSettings settings, int left, const State& state,
                       const std::function<void(ModelCheckpoint&, const State&)>& calls) {
    const auto begin = steady_clock::now();
    settings.write.deadline = kDeadline;
    {
      ModelCheckpoint checkpoint = make(std::move(settings));
      expect_all_hear(kPieces, left, [&] { calls(checkpoint, state); });
      const Error refused = error_of([&] { static_cast<void>(checkpoint.step_end(9, state)); });
      EXPECT_EQ(refused.code(), ErrorCode::unresponsive) << refused.what();
    }
    EXPECT_LT(steady_clock::now() - begin, kDeadline / 2);
  }
};

TEST_F(BrokenOff, SaveThenEveryRankHearsWhyAndNothingIsPublished) {
  for (const auto& [least, phase] : {std::pair{0, Phase::planning}, {kPieces, Phase::moving}}) {
    LastPhase watch;
    SaveOptions watched = options();
    watched.listener = &watch;
    expect_all_hear(least, 2, [&] { save(MPI_COMM_WORLD, path("broken.h5"), state_, watched); });
    if (is_failing()) {
      EXPECT_EQ(watch.last, phase);
    }
    expect_unharmed();
  }
}

TEST_F(BrokenOff, LoadThenEveryRankHearsWhy) {
  LoadOptions patient;
  patient.deadline = kDeadline;
  for (const int least : {0, kPieces}) {
    expect_all_hear(least, 2, [&] { load(MPI_COMM_WORLD, path("before.h5"), state_, patient); });
    expect_unharmed();
  }
}

TEST_F(BrokenOff, StepThenTheObjectMakesNoMoreCalls) {
  for (const bool in_background : {false, true}) {
    CheckpointSettings settings = async();
    settings.async_save = in_background;
    expect_run_ends(settings, 2, state_, [](ModelCheckpoint& checkpoint, const State& state) {
      static_cast<void>(checkpoint.step_end(1, state));
      static_cast<void>(checkpoint.wait());
    });
  }
}

/// Ranks that have nothing to do with the one that fails are through, and wait for it in the next
/// step.
TEST_F(BrokenOff, StepThenWhoSharesNoBlockWithThatRankHearsItInTheNextOne) {
  std::vector<float> values(std::size_t{100} * 307, 1.0F);
  State rows;
  const auto first = static_cast<std::uint64_t>(rank()) * 100;
  rows.add("rows", std::span(values),
           {.global = {static_cast<std::uint64_t>(ranks()) * 100, 307},
            .offset = {first, 0},
            .extent = {100, 307}});
  expect_run_ends(async(), 0, rows, [](ModelCheckpoint& checkpoint, const State& state) {
    for (std::uint64_t step = 1; step <= 3; ++step) {
      static_cast<void>(checkpoint.step_end(step, state));
    }
  });
}

/// It is no failure of the disk, which a run may pass over.
TEST_F(BrokenOff, SaveThatMayFailThenThisIsNotPassedOver) {
  for (const bool in_background : {false, true}) {
    CheckpointSettings settings = async();
    settings.async_save = in_background;
    settings.on_save_failure = OnSaveFailure::skip;
    expect_run_ends(settings, 2, state_, [](ModelCheckpoint& checkpoint, const State& state) {
      static_cast<void>(checkpoint.step_end(1, state));
      static_cast<void>(checkpoint.wait());
    });
  }
}

TEST_F(BrokenOff, EndThenItIsNotSavedOnceMore) {
  expect_run_ends(async(), 2, state_, [](ModelCheckpoint& checkpoint, const State& state) {
    static_cast<void>(checkpoint.step_end(1, state));
    checkpoint.end(2, state);
  });
}

/// Nobody can meet any more, and nobody waits for others to come.
TEST_F(BrokenOff, WithExceptionSaveThenEachRankSavesAloneAtOnce) {
  CheckpointSettings settings = async();
  settings.async_save = false;
  settings.exception_save = true;
  settings.exception_save_timeout = kDeadline;
  expect_run_ends(settings, 2, state_, [](ModelCheckpoint& checkpoint, const State& state) {
    checkpoint.guard(state, [&] { static_cast<void>(checkpoint.step_end(1, state)); });
  });
  std::vector<std::string> expected{"before.h5"};
  for (int r = 0; r < ranks(); ++r) {
    expected.push_back("run-1_1_breakpoint.rank" + std::to_string(r) + "of" +
                       std::to_string(ranks()) + ".shard");
  }
  EXPECT_EQ(names(), expected);
}

}  // namespace
}  // namespace cairn::test
