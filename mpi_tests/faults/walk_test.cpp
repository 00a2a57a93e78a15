// Every call on a checkpoint path goes wrong once, on every rank in turn, in every way.
//
// After each: every rank has the same error, or none; nobody waited in vain; and what a new program
// restores is the old state or the new one, whole, the new one where success was told. A save that
// failed leaves nothing behind, and the next one succeeds.
//
// CAIRN_FAULTS=full walks all configurations in all ways; else a part of both.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>

#include "api/world.hpp"
#include "base/slowness.hpp"
#include "faults/configurations.hpp"
#include "faults/shim.hpp"

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

struct Way {
  const char* name;
  Deed deed;
  int error;
  std::uint32_t kinds;
  bool harmless = false;  ///< to be retried: the act must succeed
  bool in_short = true;   ///< not in the full tier only
};

constexpr std::uint64_t kMostCalls = 10'000;

constexpr std::uint32_t kNeedSpace = any_of(Kind::create, Kind::write, Kind::resize, Kind::sync,
                                            Kind::rename, Kind::make_directory, Kind::link);

const std::vector<Way>& ways() {
  static const std::vector<Way> all{
      {"EIO", Deed::fail, EIO, kEvery},
      {"short", Deed::shorten, 0, any_of(Kind::read, Kind::write), true},
      {"EINTR", Deed::fail, EINTR, any_of(Kind::read, Kind::write, Kind::resize), true, false},
      {"ENOSPC", Deed::fail, ENOSPC, kNeedSpace},
      {"EDQUOT", Deed::fail, EDQUOT, kNeedSpace, false, false},
      {"EACCES", Deed::fail, EACCES,
       kEvery & ~any_of(Kind::read, Kind::write, Kind::close, Kind::list, Kind::control),
       false, false},
  };
  return all;
}

bool is_full() {
  const char* const wanted = std::getenv("CAIRN_FAULTS");
  return wanted != nullptr && std::strcmp(wanted, "full") == 0;
}

/// The error as one text, for messages and for comparing ranks.
std::string text_of(const std::optional<Error>& error) {
  if (!error) return "no error";
  return std::string(to_string(error->code())) + ": " + error->what();
}

std::string from_rank(int root, std::string text) {
  auto length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, root, MPI_COMM_WORLD);
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, root, MPI_COMM_WORLD);
  return text;
}

class Walk : public test::World, public ::testing::WithParamInterface<Configuration> {
 protected:
  /// One call that went wrong, or would have.
  struct Point {
    int victim;
    const Way& way;
    std::uint64_t at;
  };

  void SetUp() override {
    shim_ = find_shim();
    ASSERT_NE(shim_, nullptr) << "run this with the shim in LD_PRELOAD";
    shim_->watch(directory(), rank());
    leave_old_state(MPI_COMM_WORLD, what(), path("pristine"), [](std::int64_t) {},
                    [](std::int64_t) {});
  }
  void TearDown() override {
    if (shim_ != nullptr) shim_->watch({}, rank());
  }

  static const Configuration& what() { return GetParam(); }
  static bool restores() { return what().act == Act::restore || what().act == Act::sweep; }
  /// The version that there is when the act has succeeded.
  static std::int64_t newest() { return what().act == Act::sweep ? kOld : kNew; }
  [[nodiscard]] fs::path place() const { return path("a/b/checkpoints"); }

  /// The directory as it was before.
  void reset() const {
    on_root([this] {
      fs::remove_all(path("a"));
      if (what().act == Act::first_save) return;
      fs::create_directories(place());
      fs::copy(path("pristine"), place(), fs::copy_options::recursive);
    });
  }

  template <class Strike>
  void walk(Strike&& try_point);
  /// Tries a point; false where the act made fewer calls. The same on every rank.
  bool strike(const Point& point);
  std::optional<Error> act(const Point& point, Program& program);
  void expect_whole(std::int64_t from, std::int64_t to);
  void expect_nothing_left() const;

  Shim* shim_ = nullptr;
  Happened happened_;  ///< on the victim
  std::uint64_t tried_ = 0;
  std::uint64_t errors_ = 0;
};

std::optional<Error> Walk::act(const Point& point, Program& program) {
  MPI_Barrier(MPI_COMM_WORLD);
  const bool armed = rank() == point.victim;
  if (armed) shim_->arm({point.way.deed, point.way.error, point.way.kinds, point.at});
  const auto since = std::chrono::steady_clock::now();
  std::optional<Error> error = program.act();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - since;
  happened_ = armed ? shim_->disarm() : Happened{};
  // The deadline of a wait is thirty seconds; a busy machine is slow.
  EXPECT_LT(took.count(), 15.0 * cairn::testing::kSlowness);
  return error;
}

bool Walk::strike(const Point& point) {
  reset();
  std::optional<Program> program(std::in_place, MPI_COMM_WORLD, what(), place());
  const std::optional<Error> error = act(point, *program);
  const std::string where = from_rank(point.victim, happened_.what);
  SCOPED_TRACE(std::string(point.way.name) + " at call " + std::to_string(point.at) + " of rank " +
               std::to_string(point.victim) + ", \"" + where + "\"; then " + text_of(error));
  EXPECT_EQ(text_of(error), test::share(text_of(error))) << "differs from rank 0's";
  EXPECT_TRUE(!error || error->code() != ErrorCode::unresponsive);
  EXPECT_TRUE(!error || !(where.empty() || point.way.harmless));
  // A sync that failed ends the attempt. It is never tried again: what it was about may be gone.
  const bool is_sync = where.starts_with("sync ") && where.find("/.tmp-") != std::string::npos;
  EXPECT_TRUE(!is_sync || error);
  EXPECT_TRUE(!is_sync || happened_.same_later == 0);
  if (!error && restores()) {
    EXPECT_EQ(program->model().version(), newest()) << "an older state";
    EXPECT_EQ(program->model().wrong(), 0U);
  }
  // Every other time the same object goes on, and its next save succeeds.
  const bool goes_on = point.at % 2 == 0 && !(restores() && error);
  const std::string later = goes_on ? text_of(program->save_later()) : "no error";
  EXPECT_EQ(later, "no error");
  program.reset();
  if (goes_on) {
    expect_whole(kLater, kLater);
  } else {
    expect_whole(error ? oldest_allowed(what()) : newest(), newest());
  }
  expect_nothing_left();
  tried_ += where.empty() ? 0 : 1;
  errors_ += error ? 1 : 0;
  return !where.empty();
}

/// A new program, of one rank, finds one of these versions.
void Walk::expect_whole(std::int64_t from, std::int64_t to) {
  on_root([&] {
    Model model(MPI_COMM_SELF, what().has_map);
    const Found found = find(MPI_COMM_SELF, what(), place(), model);
    EXPECT_EQ(found.problem, "");
    EXPECT_GE(found.version, from);
    EXPECT_LE(found.version, to);
  });
}

/// That program has removed what was not finished.
void Walk::expect_nothing_left() const {
  on_root([this] {
    if (!fs::exists(place())) return;
    for (const auto& entry : fs::directory_iterator(place())) {
      EXPECT_TRUE(entry.path().filename().string().starts_with("run-1_")) << entry.path();
    }
  });
}

/// Until a run makes fewer calls than the point asks for, each way on each rank.
template <class Strike>
void Walk::walk(Strike&& try_point) {
  std::string told;
  for (const Way& way : ways()) {
    if (!is_full() && !way.in_short) continue;
    const std::uint64_t before = tried_;
    for (int victim = 0; victim < ranks(); ++victim) {
      for (std::uint64_t at = 1; try_point(Point{victim, way, at}); ++at) {
        if (at > kMostCalls) FAIL() << "it never ends";
      }
    }
    told += std::string(" ") + way.name + " " + std::to_string(tried_ - before);
  }
  EXPECT_GT(tried_, 20U);
  if (rank() != 0) return;
  std::printf("walk %s: %lu points (%s ), %lu of them an error; %s failed\n", what().name.c_str(),
              static_cast<unsigned long>(tried_), told.c_str(),
              static_cast<unsigned long>(errors_), HasFailure() ? "SOME" : "none");
  std::fflush(stdout);
}

TEST_P(Walk, WhateverCallFailsThenAllAgreeAndTheOldOrTheNewOneIsThere) {
  walk([this](const Point& point) { return strike(point); });
}

/// Ranks that leave the training loop after different steps: each writes what it holds by itself.
class LoneWalk : public Walk {
 protected:
  /// What this rank was told of its save.
  struct Told : Listener {
    void committed(const Event& event) override { path = event.path; }
    void failed(const Event&, const Error& error) override { problem = text_of(error); }
    void skipped(const Event&, std::string_view why) override { problem = why; }
    fs::path path;
    std::string problem;
  };

  /// Rank 0 is a step ahead.
  [[nodiscard]] std::uint64_t step() const { return rank() == 0 ? kLater : kNew; }
  [[nodiscard]] fs::path lone_file() const {
    return place() / ("run-1_" + std::to_string(step()) + "_breakpoint.rank" +
                      std::to_string(rank()) + "of" + std::to_string(ranks()) + ".shard");
  }

  bool strike(const Point& point);
  Told leave_alone(const Point& point);
  void expect_lone_file(const Told& told, bool must_be_there) const;
  void expect_older_one();
};

LoneWalk::Told LoneWalk::leave_alone(const Point& point) {
  Told told;
  Leaver leaver(MPI_COMM_WORLD, what(), place(), step(), &told);
  MPI_Barrier(MPI_COMM_WORLD);
  const bool armed = rank() == point.victim;
  if (armed) shim_->arm({point.way.deed, point.way.error, point.way.kinds, point.at});
  leaver.leave();
  happened_ = armed ? shim_->disarm() : Happened{};
  return told;
}

/// It is whole, or not there; there where success was told, and a reason was told where it is not.
void LoneWalk::expect_lone_file(const Told& told, bool must_be_there) const {
  const bool is_there = fs::exists(lone_file());
  EXPECT_TRUE(is_there || (told.path.empty() && !must_be_there)) << lone_file();
  EXPECT_TRUE(!told.path.empty() || !told.problem.empty()) << "nothing was told";
  EXPECT_TRUE(told.path.empty() || told.path == lone_file()) << told.path;
  if (!is_there) return;
  const VerifyReport report = verify(MPI_COMM_SELF, lone_file());
  EXPECT_TRUE(report.good() && report.lone && report.verified == Verified::crc);
  const Contents contents = inspect(lone_file());
  EXPECT_FALSE(contents.problem.has_value());
  EXPECT_EQ(contents.step, step());
  EXPECT_EQ(contents.tensors.size(), 4U);
}

/// What ranks saved after different steps is no state: a new program passes it over.
void LoneWalk::expect_older_one() {
  on_root([&] {
    Model model(MPI_COMM_SELF, what().has_map);
    ModelCheckpoint checkpoint(MPI_COMM_SELF, "run", place(), what().settings);
    const auto restored = checkpoint.restore(model.state());
    EXPECT_TRUE(restored && restored->path.filename() == "run-1_1.h5");
    EXPECT_EQ(model.version(), kOld);
    EXPECT_EQ(model.wrong(), 0U);
    if (!restored) return;
    for (const Skipped& skipped : restored->skipped) {
      EXPECT_TRUE(skipped.saved_alone) << skipped.path << ": " << skipped.reason;
    }
  });
}

bool LoneWalk::strike(const Point& point) {
  reset();
  const Told told = leave_alone(point);
  const std::string where = from_rank(point.victim, happened_.what);
  SCOPED_TRACE(std::string(point.way.name) + " at call " + std::to_string(point.at) + " of rank " +
               std::to_string(point.victim) + ", \"" + where + "\"; then " + told.problem);
  MPI_Barrier(MPI_COMM_WORLD);
  expect_lone_file(told, rank() != point.victim || where.empty() || point.way.harmless);
  MPI_Barrier(MPI_COMM_WORLD);
  expect_older_one();
  expect_nothing_left();
  tried_ += where.empty() ? 0 : 1;
  errors_ += from_rank(point.victim, told.problem).empty() ? 0 : 1;
  return !where.empty();
}

TEST_P(LoneWalk, WhateverCallFailsThenTheFileOfEachRankIsWholeOrAbsent) {
  walk([this](const Point& point) { return strike(point); });
}

/// In the short tier those that go most ways through the code.
std::vector<Configuration> walked() {
  static const std::set<std::string> in_short{"async", "crc", "replace_other_kind",
                                              "delete_shards", "first", "restore_shards"};
  std::vector<Configuration> all = configurations();
  if (!is_full()) {
    std::erase_if(all, [](const Configuration& one) { return !in_short.contains(one.name); });
  }
  return all;
}
std::string name_of(const ::testing::TestParamInfo<Configuration>& one) { return one.param.name; }
INSTANTIATE_TEST_SUITE_P(Fault, Walk, ::testing::ValuesIn(walked()), name_of);
INSTANTIATE_TEST_SUITE_P(Fault, LoneWalk, ::testing::Values(lone_shards()), name_of);

}  // namespace
}  // namespace cairn::faults
