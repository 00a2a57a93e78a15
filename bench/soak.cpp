// soak: jobs of random kinds and sizes that save and restore in a few directories, are killed, and
// find checkpoints damaged; against a model in memory of what must be there.
#include "soak.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>

#include "failure.hpp"
#include "soak_job.hpp"
#include "soak_model.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;
using Clock = SoakJob::Clock;

struct SoakArguments {
  double minutes = 10;
  int ranks = 3;
  std::string directory;
  std::string mpiexec = "mpirun";
  std::uint64_t seed = std::random_device{}();
};

/// How the checkpoints of one directory are protected: that stays, all else varies from job to job.
struct Protection {
  const char* name;
  std::vector<std::string> options;
  bool has_checksums;
};

struct Counts {
  std::uint64_t jobs = 0, saves = 0, restores = 0, fallbacks = 0, kills = 0, damages = 0;
};

class Soak {
 public:
  explicit Soak(const SoakArguments& arguments)
      : arguments_(arguments), chance_(arguments.seed), root_(make_root(arguments.directory)) {
    const std::string key = (root_ / "key").string();
    std::ofstream(key) << "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    const std::string short_key = (root_ / "short_key").string();
    std::ofstream(short_key) << "000102030405060708090a0b0c0d0e0f\n";
    protections_ = {{"plain", {}, false},
                    {"crc", {"--crc"}, true},
                    {"gcm", {"--key-file", key}, true},
                    {"cbc", {"--key-file", key, "--enc-mode", "AES-CBC"}, true},
                    {"sm4", {"--key-file", short_key, "--enc-mode", "SM4-CBC"}, true}};
    for (const Protection& one : protections_) {
      models_.emplace_back(root_ / one.name, one.has_checksums);
      const fs::path pipe = pipe_of(models_.back());
      if (::mkfifo(pipe.c_str(), 0600) != 0) throw Failure("cannot make " + pipe.string());
      // For writing too: then it has no end, whoever dies.
      pipes_.push_back(::open(pipe.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    }
  }
  Soak(const Soak&) = delete;
  Soak& operator=(const Soak&) = delete;
  ~Soak() {
    for (const int pipe : pipes_) ::close(pipe);
  }

  void run() {
    const auto end = Clock::now() + std::chrono::duration<double>(arguments_.minutes * 60);
    while (Clock::now() < end) {
      const std::size_t which = pick(models_.size());
      if (pick(2) == 0 && models_[which].damage(chance_)) ++counts_.damages;
      run_job(which, true);
    }
    // What is there at last is there for a job that nobody kills.
    for (std::size_t i = 0; i < models_.size(); ++i) run_job(i, false);
  }

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const fs::path& root() const { return root_; }

 private:
  static fs::path make_root(const fs::path& above) {
    fs::create_directories(above);
    std::string name = (above / "soak-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Failure("cannot make " + name);
    return name;
  }
  static fs::path pipe_of(const SoakModel& model) { return model.directory().string() + ".told"; }
  std::size_t pick(std::size_t n) { return chance_() % n; }

  std::vector<std::string> command_for(const SoakModel& model, const Protection& protection,
                                       bool kills) {
    constexpr std::size_t kWithoutEnd = 1'000'000;
    constexpr std::array kSlicings{"rows", "columns", "grid", "replicated", "stage"};
    const auto most = static_cast<std::size_t>(arguments_.ranks);
    // Most jobs as asked for; the others on any number of ranks up to one more.
    const std::size_t ranks = pick(2) == 0 ? most : 1 + pick(most + 1);
    std::vector<std::string> command{arguments_.mpiexec, "--oversubscribe", "-n",
                                     std::to_string(ranks), fs::read_symlink("/proc/self/exe"),
                                     "soak-worker", "--dir", model.directory().string(),
                                     "--tell", pipe_of(model).string()};
    const std::size_t saves = kills ? kWithoutEnd : pick(12);
    command.insert(command.end(), {"--saves", std::to_string(saves), "--keep",
                                   std::to_string(2 + pick(3))});
    if (pick(2) == 0) command.emplace_back("--shards");
    if (pick(2) == 0) command.emplace_back("--async");
    if (pick(2) == 0) {
      command.insert(command.end(), {"--slicing", kSlicings.at(pick(kSlicings.size()))});
    }
    command.insert(command.end(), protection.options.begin(), protection.options.end());
    return command;
  }

  /// One job; some are killed at a random moment after they have restored.
  void run_job(std::size_t which, bool may_kill) {
    SoakModel& model = models_[which];
    constexpr std::chrono::seconds kLongest{180};
    constexpr std::size_t kMostMilliseconds = 600;
    const bool kills = may_kill && pick(2) == 0;
    const std::vector<std::string> command = command_for(model, protections_[which], kills);
    SoakJob job(command, pipes_[which]);
    ++counts_.jobs;
    const bool all = pick(3) > 0;
    bool has_restored = false;
    bool killed = false;
    std::string told;
    auto until = Clock::now() + kLongest;
    while (!job.ended()) {
      const auto line = job.next_line(until);
      if (line) {
        told += *line + "\n";
        const bool restored = take(model, *line);
        if (restored && kills) {
          until = Clock::now() + std::chrono::milliseconds(pick(kMostMilliseconds));
        }
        has_restored = has_restored || restored;
      } else if (!job.ended() && kills && has_restored && !killed) {
        job.kill(all);
        killed = true;
        ++counts_.kills;
        until = Clock::now() + kLongest;  // for ranks that die late
      } else if (!job.ended()) {
        throw Failure("no end after " + std::to_string(kLongest.count()) + " s:\n" + told +
                      job.output());
      }
    }
    const int code = job.wait();
    if (killed) return;
    if (code == 0 && has_restored) return;
    std::string text = "a job failed:";
    for (const std::string& word : command) text += " " + word;
    throw Failure(text + "\n" + told + job.output());
  }

  /// Returns whether the line tells of a restore.
  bool take(SoakModel& model, const std::string& line) {
    std::istringstream words(line);
    std::string what;
    std::uint64_t sequence = 0;
    if (!(words >> what >> sequence)) return false;
    std::string rest;
    if (what == "begun") {
      model.begun(sequence);
    } else if (what == "committed") {
      words >> rest;
      model.committed(sequence, rest);
      ++counts_.saves;
    } else if (what == "restored") {
      std::uint64_t step = 0;
      std::uint64_t skipped = 0;
      words >> step >> rest >> skipped;
      model.restored(sequence, sequence == 0 || rest == "right", line);
      ++counts_.restores;
      counts_.fallbacks += skipped > 0 ? 1 : 0;
      return true;
    }
    return false;
  }

  SoakArguments arguments_;
  std::mt19937_64 chance_;
  fs::path root_;
  std::vector<Protection> protections_;
  std::vector<SoakModel> models_;
  std::vector<int> pipes_;  ///< of each model: what its jobs tell
  Counts counts_;
};

void print(const Counts& counts, const char* lost) {
  std::cout << "jobs: " << counts.jobs << "\nsaves: " << counts.saves
            << "\nrestores: " << counts.restores << "\nrestores past damage: " << counts.fallbacks
            << "\nkills: " << counts.kills << "\ndamages: " << counts.damages << "\nlost: " << lost
            << std::endl;
}

int soak(const SoakArguments& arguments) {
  std::cout << "seed: " << arguments.seed << std::endl;
  Soak soak(arguments);
  try {
    soak.run();
  } catch (const std::exception& failure) {
    print(soak.counts(), "see below");
    std::cerr << "cairn-bench: " << failure.what() << "\nAll is left in " << soak.root().string()
              << std::endl;
    return kExitFailure;
  }
  print(soak.counts(), "nothing");
  fs::remove_all(soak.root());
  return kExitOk;
}

}  // namespace

bool is_soak(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "soak"; }

int run_soak(int argc, char** argv) {
  CLI::App app("Saves, restores, kills and damages at random, for as long as it is told, and checks "
               "that nothing committed is lost. Starts mpirun itself.",
               "cairn-bench soak");
  SoakArguments arguments;
  app.add_option("--minutes", arguments.minutes, "how long")->capture_default_str();
  app.add_option("--ranks", arguments.ranks, "of most jobs; others have from 1 to one more")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--dir", arguments.directory, "a directory is made below it, which goes at the end")
      ->required();
  app.add_option("--mpiexec", arguments.mpiexec, "what starts a job")->capture_default_str();
  app.add_option("--seed", arguments.seed, "of what is random; else another one every time");
  try {
    app.parse(argc - 1, argv + 1);
    if (std::getenv("OMPI_COMM_WORLD_RANK") != nullptr) {
      throw CLI::ValidationError("soak", "starts mpirun itself: call it without");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return soak(arguments);
}

}  // namespace bench
