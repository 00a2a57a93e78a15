// A rank whose MPI fails while pieces of blocks are under way: nobody will complete them, and every
// other rank hears so long before its deadline.
#include <gmock/gmock.h>

#include <chrono>
#include <optional>

#include "api/training.hpp"

namespace {
/// Messages of at least so many bytes that this rank still sends; the one after them fails.
/// Negative: all are sent.
int messages_left = -1;
int least_bytes = 0;
}  // namespace

// What Cairn sends goes through here. Letters between ranks that wait have a tag of their own.
extern "C" int MPI_Isend(const void* bytes, int count, MPI_Datatype type, int to, int tag,
                         MPI_Comm comm, MPI_Request* request) {
  constexpr int kTagOfData = 0;
  const bool counts = tag == kTagOfData && count >= least_bytes && messages_left >= 0;
  if (counts && messages_left-- == 0) return MPI_ERR_OTHER;
  return PMPI_Isend(bytes, count, type, to, tag, comm, request);
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

class BrokenOff : public Training {
 protected:
  void SetUp() override {
    // The state is large enough that every rank sends several pieces of blocks to others.
    train_to(1);
    save(MPI_COMM_WORLD, path("before.h5"), state_, options());
  }
  void TearDown() override { messages_left = -1; }

  static SaveOptions options() {
    SaveOptions options;
    static_cast<WriteOptions&>(options) = async().write;
    return options;
  }
  [[nodiscard]] static bool is_failing() { return rank() == ranks() - 1; }

  /// Runs `call` with the third such message of the last rank failing, and judges what each rank
  /// hears.
  static void expect_all_hear(int least, const std::function<void()>& call) {
    least_bytes = least;
    if (is_failing()) messages_left = 2;
    const auto begin = steady_clock::now();
    std::optional<Error> error;
    try {
      call();
    } catch (const Error& thrown) {
      error = thrown;
    }
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds{30}) << "the deadline is 60 s";
    messages_left = -1;
    ASSERT_TRUE(error.has_value()) << "nothing was thrown";
    if (is_failing()) {
      EXPECT_EQ(error->code(), ErrorCode::io) << error->what();
      EXPECT_THAT(error->what(), HasSubstr("MPI_Isend failed"));
      return;
    }
    EXPECT_EQ(error->code(), ErrorCode::unresponsive) << error->what();
    EXPECT_EQ(error->rank(), ranks() - 1) << error->what();
    EXPECT_THAT(error->what(), HasSubstr("rank " + std::to_string(ranks() - 1) + " (host "));
    EXPECT_THAT(error->what(), HasSubstr("failed with messages under way: MPI_Isend failed"));
  }

  /// What was there before is whole, and ranks that talk anew read it.
  void expect_unharmed() {
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQ(names(), std::vector<std::string>{"before.h5"});
    spoil();
    load(MPI_COMM_WORLD, path("before.h5"), state_);
    EXPECT_EQ(wrong(1), 0U);
  }
};

TEST_F(BrokenOff, SaveThenEveryRankHearsWhyAndNothingIsPublished) {
  for (const auto& [least, phase] : {std::pair{0, Phase::planning}, {kPieces, Phase::moving}}) {
    LastPhase watch;
    SaveOptions watched = options();
    watched.listener = &watch;
    expect_all_hear(least, [&] { save(MPI_COMM_WORLD, path("broken.h5"), state_, watched); });
    if (is_failing()) {
      EXPECT_EQ(watch.last, phase);
    }
    expect_unharmed();
  }
}

TEST_F(BrokenOff, LoadThenEveryRankHearsWhy) {
  for (const int least : {0, kPieces}) {
    expect_all_hear(least, [this] { load(MPI_COMM_WORLD, path("before.h5"), state_); });
    expect_unharmed();
  }
}

TEST_F(BrokenOff, StepThenTheObjectMakesNoMoreCallsAndItsEndWaitsForNobody) {
  for (const bool in_background : {false, true}) {
    const auto begin = steady_clock::now();
    {
      CheckpointSettings settings = async();
      settings.async_save = in_background;
      ModelCheckpoint checkpoint = make(std::move(settings));
      expect_all_hear(kPieces, [&] {
        static_cast<void>(checkpoint.step_end(1, state_));
        static_cast<void>(checkpoint.wait());
      });
      try {
        static_cast<void>(checkpoint.step_end(2, state_));
        ADD_FAILURE() << "a second step was taken";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::unresponsive) << error.what();
      }
    }
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds{30}) << "the deadline is 60 s";
  }
}

}  // namespace
}  // namespace cairn::test
