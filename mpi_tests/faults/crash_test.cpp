// Every moment at which the machine may stop, and what a disk may then hold (crash_model.hpp).
//
// Each such directory is restored by a new program: what was reported before the crash is there, or
// something newer that had begun; whole; and nothing that bears a checkpoint's name is damaged (I1
// of storage/commit.cpp). That this would find a bug is tried, too: with a sync or an order left out
// of the log, as if it were left out of the code, it fails.
//
// CAIRN_CRASHES=n: so many states by chance at each moment.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>

#include "api/world.hpp"
#include "faults/configurations.hpp"
#include "faults/crash_model.hpp"
#include "faults/shim.hpp"

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

/// What the program tells the log.
enum class Mark : std::uint8_t { phase, committed, begun, reported };

class Marker : public Listener {
 public:
  explicit Marker(Shim& shim) : shim_(shim) {}
  void phase(const Event&, Phase phase) override {
    tell(Mark::phase, static_cast<std::uint64_t>(phase));
  }
  void committed(const Event&) override { tell(Mark::committed, 0); }
  void tell(Mark mark, std::uint64_t value) { shim_.mark(static_cast<std::uint8_t>(mark), value); }

 private:
  Shim& shim_;
};

/// The steps of a commit (storage/commit.cpp) that a bug could leave out, or do too early.
enum class Bug : std::uint8_t {
  none,
  blocks_not_synced,      ///< (3)
  head_not_synced,        ///< (5), where it has a sync of its own
  shards_not_listed,      ///< (6) the temporary directory
  directories_not_synced, ///< (6) those made on the way, in their parents
  name_not_synced,        ///< (8)
  head_after_sync,        ///< (3) before (5), where it is for both
  renamed_before_head,    ///< (7) before the sync of (5), or of (3) where that is for both
  deleted_at_once,        ///< (10) without the sync between the rename and the deletion
};

const char* name_of(Bug bug) {
  switch (bug) {
    case Bug::none: return "no bug";
    case Bug::blocks_not_synced: return "(3) left out: blocks are not synced";
    case Bug::head_not_synced: return "(5) left out: head and tail are not synced";
    case Bug::shards_not_listed: return "(6) left out: the directory of shards is not synced";
    case Bug::directories_not_synced: return "(6) left out: directories made are not synced";
    case Bug::name_not_synced: return "(8) left out: the rename is not synced";
    case Bug::head_after_sync: return "(3) before (5): synced before the head is written";
    case Bug::renamed_before_head: return "(7) before (5): renamed before the head is synced";
    case Bug::deleted_at_once: return "(10) without its sync: deleted before it is renamed";
  }
  return "?";
}

bool is_mark(const Entry& entry, Mark mark) {
  return entry.op == Op::mark && entry.mark == static_cast<std::uint8_t>(mark);
}

/// The log of a program with that bug. What each rank was doing, its marks tell.
std::vector<Entry> with(Bug bug, const std::vector<Entry>& entries) {
  std::map<int, Phase> doing;
  std::ptrdiff_t held = -1;  // of what was made: the sync that comes after the rename
  Phase held_in = Phase::planning;
  std::ptrdiff_t began = -1;  // of what was made: where rank 0 has begun to write its head
  std::vector<Entry> made;
  for (const Entry& entry : entries) {
    if (is_mark(entry, Mark::phase)) doing[entry.rank] = static_cast<Phase>(entry.offset);
    if (is_mark(entry, Mark::committed)) doing[entry.rank] = Phase::retaining;
    const bool is_sync = entry.op == Op::sync;
    // Before the first save of a run the series is opened: what is synced then are directories.
    const Phase phase = doing.contains(entry.rank) ? doing[entry.rank] : Phase::reserving;
    const bool of_shards = entry.path.ends_with(".shards");  // the directory itself
    const bool leaves_out =
        (bug == Bug::blocks_not_synced && phase == Phase::syncing) ||
        (bug == Bug::head_not_synced && phase == Phase::completing && !of_shards) ||
        (bug == Bug::shards_not_listed && phase == Phase::completing && of_shards) ||
        (bug == Bug::directories_not_synced && phase == Phase::reserving) ||
        (bug == Bug::name_not_synced && phase == Phase::publishing) ||
        (bug == Bug::deleted_at_once && phase == Phase::retaining);
    if (is_sync && leaves_out) continue;
    made.push_back(entry);
    if (bug == Bug::head_after_sync && entry.rank == 0 && phase == Phase::syncing) {
      if (entry.op == Op::mark) began = std::ssize(made);
      if (is_sync) std::rotate(made.begin() + began, made.end() - 1, made.end());
    }
    if (bug != Bug::renamed_before_head) continue;
    // The first of completing, or where that has none the last of syncing.
    const bool is_of_head = phase == Phase::completing ? held_in != phase : phase == Phase::syncing;
    if (is_sync && entry.rank == 0 && is_of_head) {
      held = std::ssize(made) - 1;
      held_in = phase;
    }
    if (entry.op == Op::rename && held >= 0 && phase == Phase::publishing) {
      std::rotate(made.begin() + held, made.end() - 1, made.end());
      held = -1;
      held_in = Phase::planning;
    }
  }
  return made;
}

struct Tally {
  std::uint64_t moments = 0;
  std::uint64_t states = 0;
  std::uint64_t failed = 0;
  std::string first;  ///< of the failures of this rank
};

class Crash : public test::World, public ::testing::WithParamInterface<Configuration> {
 protected:
  void SetUp() override {
    shim_ = find_shim();
    ASSERT_NE(shim_, nullptr) << "run this with the shim in LD_PRELOAD";
    constexpr std::uint64_t kLogBytes = std::uint64_t{64} << 20;
    const std::string log = path("log");
    if (rank() == 0) log_ = make_log(log.c_str(), kLogBytes);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank() != 0) log_ = open_log(log.c_str());
    ASSERT_NE(log_, nullptr);
    on_root([this] { fs::create_directory(path("disk")); });
    record();
  }
  void TearDown() override {
    if (log_ != nullptr) close_log(log_);
  }

  static const Configuration& what() { return GetParam(); }

  void record() {
    shim_->watch(path("disk"), rank());
    shim_->record(log_);
    const fs::path place = path("disk") / kPlace;
    Marker marker(*shim_);
    const auto teller = [&](Mark mark) {
      return [&marker, mark](std::int64_t version) {
        marker.tell(mark, static_cast<std::uint64_t>(version));
      };
    };
    leave_old_state(MPI_COMM_WORLD, what(), place, teller(Mark::begun), teller(Mark::reported));
    act(place, marker);
    shim_->record(nullptr);
    shim_->watch({}, rank());
    MPI_Barrier(MPI_COMM_WORLD);
    ASSERT_FALSE(log_->overflow);
    entries_ = entries_of(*log_);
  }

  /// What is recorded.
  virtual void act(const fs::path& place, Marker& marker);
  /// Empty, or what is wrong with what lies in `place`.
  virtual std::string judge(const fs::path& place, std::int64_t reported, std::int64_t begun);
  static std::string damage_of_any(const fs::path& place);
  std::string judge_crashed(const Tree& tree, std::int64_t reported, std::int64_t begun);
  Tally replay(const std::vector<Entry>& entries, bool until_one_fails);
  void expect_that_all_states_are_right();
  void expect_that_bugs_are_found();

  static constexpr const char* kPlace = "a/b";
  Shim* shim_ = nullptr;
  LogMemory* log_ = nullptr;
  std::vector<Entry> entries_;
};

/// Empty, or what is wrong with a checkpoint that bears its name, the newest or not (I1): with all
/// that it goes back to it can be loaded.
std::string Crash::damage_of_any(const fs::path& place) {
  if (!fs::exists(place)) return {};
  std::string told;
  for (const CheckpointInfo& one : list(place).checkpoints) {
    Model model(MPI_COMM_SELF, what().has_map);
    try {
      load(MPI_COMM_SELF, one.path, model.state(), {.enc_key = what().settings.enc_key});
      if (model.wrong() > 0) told += one.path.string() + " has wrong values; ";
    } catch (const Error& error) {
      told += std::string(error.what()) + "; ";
    }
  }
  return told;
}

void Crash::act(const fs::path& place, Marker& marker) {
  if (what().old_is_chain && rank() == 0) {
    EXPECT_EQ(list(place).checkpoints.at(0).increment, 1U);
  }
  Program program(MPI_COMM_WORLD, what(), place, &marker);
  marker.tell(Mark::begun, kNew);
  const auto error = program.act();
  EXPECT_FALSE(error.has_value()) << error->what();
  if (what().act == Act::sweep) return;
  marker.tell(Mark::reported, kNew);
  const auto report = program.checkpoint().last_report();
  EXPECT_EQ(report && report->is_increment, what().has_map && !what().old_is_chain);
}

std::string Crash::judge_crashed(const Tree& tree, std::int64_t reported, std::int64_t begun) {
  const fs::path disk = path("crashed-" + std::to_string(rank()));
  lay_out(tree, disk);
  std::string told = judge(disk / kPlace, reported, begun);
  fs::remove_all(disk);
  return told;
}

std::string Crash::judge(const fs::path& place, std::int64_t reported, std::int64_t begun) {
  Model model(MPI_COMM_SELF, what().has_map);
  const Found found = find(MPI_COMM_SELF, what(), place, model);
  const std::string damage = found.problem + damage_of_any(place);
  if (!damage.empty()) return damage;
  if (found.version >= reported && found.version <= begun) return {};
  return "version " + std::to_string(found.version) + " is there, reported was " +
         std::to_string(reported) + ", begun " + std::to_string(begun);
}

/// The ranks share the states; each counts those that it laid out.
Tally Crash::replay(const std::vector<Entry>& entries, bool until_one_fails) {
  const char* const wanted = std::getenv("CAIRN_CRASHES");
  const int by_chance = wanted == nullptr ? 2 : std::atoi(wanted);
  std::vector<Fate> fates{Fate::all_kept, Fate::all_lost, Fate::data_lost,
                          Fate::data_and_length_lost, Fate::names_lost, Fate::outer_names_lost};
  for (int i = 0; i < by_chance; ++i) {
    fates.push_back(Fate::by_chance);
    fates.push_back(Fate::names_in_order);
  }
  CrashModel disk;
  std::mt19937_64 chance(12345);  // NOLINT: the same states at every run, on every rank
  std::set<std::uint64_t> seen;
  std::int64_t reported = 0;
  std::int64_t begun = 0;
  std::uint64_t number = 0;
  Tally tally;
  for (const Entry& entry : entries) {
    disk.apply(entry);
    if (is_mark(entry, Mark::begun)) begun = static_cast<std::int64_t>(entry.offset);
    if (is_mark(entry, Mark::reported)) reported = static_cast<std::int64_t>(entry.offset);
    ++tally.moments;
    for (const Fate fate : fates) {
      const Tree tree = disk.crash(fate, chance);
      const auto bounds = static_cast<std::uint64_t>(reported * 16 + begun);
      if (!seen.insert(digest_of(tree) ^ (bounds * 0x9E3779B97F4A7C15U)).second) continue;
      if (number++ % static_cast<std::uint64_t>(ranks()) != static_cast<std::uint64_t>(rank())) {
        continue;
      }
      ++tally.states;
      const std::string problem = judge_crashed(tree, reported, begun);
      if (problem.empty()) continue;
      if (tally.failed++ == 0) {
        tally.first = "at moment " + std::to_string(tally.moments) + ", after " +
                      std::string(entry.path) + ", fate " +
                      std::to_string(static_cast<int>(fate)) + ": " + problem;
      }
      if (until_one_fails) return tally;
    }
  }
  return tally;
}

/// Of all ranks, on every rank; the first failure of the lowest rank that has one.
Tally sum(Tally tally) {
  std::array<std::uint64_t, 2> counts{tally.states, tally.failed};
  MPI_Allreduce(MPI_IN_PLACE, counts.data(), 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  tally.states = counts[0];
  tally.failed = counts[1];
  return tally;
}

void Crash::expect_that_all_states_are_right() {
  if (rank() == 0) {
    // The log is all that happened: replayed to the end it is what the disk holds.
    CrashModel disk;
    std::mt19937_64 chance(1);  // NOLINT: nothing is left to it
    for (const Entry& entry : entries_) disk.apply(entry);
    EXPECT_TRUE(disk.crash(Fate::all_kept, chance) == tree_at(path("disk")));
  }
  const Tally mine = replay(entries_, false);
  EXPECT_EQ(mine.failed, 0U) << mine.first;
  const Tally all = sum(mine);
  EXPECT_GT(all.states, 20U);
  if (rank() != 0) return;
  std::printf("crash %s: %lu moments, %lu states, %lu failed\n", what().name.c_str(),
              static_cast<unsigned long>(all.moments), static_cast<unsigned long>(all.states),
              static_cast<unsigned long>(all.failed));
  std::fflush(stdout);
}

std::vector<Bug> bugs_of(const std::string& name) {
  if (name == "integrated") {
    return {Bug::blocks_not_synced, Bug::head_after_sync, Bug::name_not_synced,
            Bug::renamed_before_head};
  }
  if (name == "crc") {
    return {Bug::blocks_not_synced, Bug::head_not_synced, Bug::name_not_synced,
            Bug::renamed_before_head};
  }
  if (name == "shards") {
    return {Bug::blocks_not_synced, Bug::head_after_sync, Bug::head_not_synced,
            Bug::shards_not_listed, Bug::name_not_synced, Bug::renamed_before_head};
  }
  if (name == "increment") {
    return {Bug::blocks_not_synced, Bug::head_after_sync, Bug::name_not_synced};
  }
  if (name == "lone") {
    return {Bug::blocks_not_synced, Bug::head_after_sync, Bug::name_not_synced};
  }
  if (name == "delete_shards" || name == "delete_chain") return {Bug::deleted_at_once};
  if (name == "first") return {Bug::directories_not_synced};
  return {};
}

void Crash::expect_that_bugs_are_found() {
  for (const Bug bug : bugs_of(what().name)) {
    const std::vector<Entry> buggy = with(bug, entries_);
    const Tally mine = replay(buggy, true);
    const Tally all = sum(mine);
    EXPECT_GT(all.failed, 0U) << name_of(bug);
    const std::string first = mine.first.empty() ? "" : "\n  " + mine.first;
    if (rank() == 0) {
      std::printf("bug %s: %s: %s%s\n", what().name.c_str(), name_of(bug),
                  all.failed > 0 ? "found" : "NOT FOUND", first.c_str());
    }
  }
}

TEST_P(Crash, WheneverTheMachineStopsThenWhatWasReportedIsThere) {
  expect_that_all_states_are_right();
}

TEST_P(Crash, WhereAStepOfTheCommitIsLeftOutThenItIsFound) { expect_that_bugs_are_found(); }

/// Ranks that leave the training loop after different steps, rank 0 a step later: each writes what it
/// holds by itself.
class LoneCrash : public Crash {
 protected:
  void act(const fs::path& place, Marker& marker) override {
    Leaver leaver(MPI_COMM_WORLD, what(), place, rank() == 0 ? kLater : kNew, &marker);
    marker.tell(Mark::begun, kLater);
    leaver.leave();
    if (rank() == 0) marker.tell(Mark::reported, kLater);
  }
  /// All that is there is whole, and that of rank 0 is there where it was reported.
  std::string judge(const fs::path& place, std::int64_t reported, std::int64_t) override {
    if (!fs::exists(place)) return reported == 0 ? "" : "nothing is there";
    std::string told;
    bool is_there = false;
    for (const auto& entry : fs::directory_iterator(place)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') || !name.ends_with(".shard")) continue;
      is_there |= name.find(".rank0of") != std::string::npos;
      const VerifyReport report = verify(MPI_COMM_SELF, entry.path());
      if (!report.good()) told += name + " is damaged; ";
    }
    if (reported == kLater && !is_there) told += "the file of rank 0 is not there; ";
    Model model(MPI_COMM_SELF);
    const Found found = find(MPI_COMM_SELF, what(), place, model);
    return told + found.problem + (found.version < kOld && reported >= kOld ? "no old one" : "");
  }
};

TEST_P(LoneCrash, WheneverTheMachineStopsThenTheFileOfEachRankIsWholeOrAbsent) {
  expect_that_all_states_are_right();
}

TEST_P(LoneCrash, WhereAStepOfTheCommitIsLeftOutThenItIsFound) { expect_that_bugs_are_found(); }

/// What writes, and not only reads.
std::vector<Configuration> that_change_the_disk() {
  std::vector<Configuration> all = configurations();
  std::erase_if(all, [](const Configuration& one) { return one.act == Act::restore; });
  return all;
}
INSTANTIATE_TEST_SUITE_P(Fault, Crash, ::testing::ValuesIn(that_change_the_disk()),
                         [](const ::testing::TestParamInfo<Configuration>& one) {
                           return one.param.name;
                         });

INSTANTIATE_TEST_SUITE_P(Fault, LoneCrash, ::testing::Values(lone_shards()),
                         [](const ::testing::TestParamInfo<Configuration>& one) {
                           return one.param.name;
                         });

}  // namespace
}  // namespace cairn::faults
