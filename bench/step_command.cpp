// What `step_end` costs where nothing is due, as in nearly every step: with the step trigger alone,
// and with the reduction that the other triggers need. Steps follow each other at once, with no
// computing between them: so a reduction has no time to travel, and its whole latency is counted.
// Beside them, by turns, the same reduction as a program would write it by hand.
#include <CLI/CLI.hpp>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cairn/cairn.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

// Nanoseconds a call.
constexpr double kMostAlone = 100;
constexpr double kMostWithReduction = 2000;
constexpr std::int64_t kNeverDue = std::int64_t{1} << 40;

struct StepArguments {
  std::uint64_t steps = 2'000;  // short runs, and many: few of them are interrupted
  std::uint64_t repeat = 101;
  std::string threads;
  std::string json;
};

/// A directory that is empty and goes away again. A run that may have to save on its own opens its
/// series in the first step.
class EmptyDirectory {
 public:
  /// Collective. Throws Failure where there can be none.
  explicit EmptyDirectory(const World& world) : world_(world) {
    std::string path = std::filesystem::temp_directory_path() / "cairn-bench-step-XXXXXX";
    const bool made = !world.is_root() || mkdtemp(path.data()) != nullptr;
    if (!world.all(made)) throw Failure("cannot make " + path);
    path_ = world.from_root(path);
  }
  EmptyDirectory(const EmptyDirectory&) = delete;
  EmptyDirectory& operator=(const EmptyDirectory&) = delete;
  ~EmptyDirectory() {
    std::error_code ignored;
    if (world_.is_root()) std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  const World& world_;
  std::filesystem::path path_;
};

/// Something that each step does.
class Way {
 public:
  Way(std::string name, std::optional<double> most) : name_(std::move(name)), most_(most) {}
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  virtual ~Way() = default;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Nanoseconds that a step may take.
  [[nodiscard]] std::optional<double> most() const noexcept { return most_; }
  /// Collective. Makes so many steps.
  virtual void run(std::uint64_t steps) = 0;

 private:
  std::string name_;
  std::optional<double> most_;
};

/// `step_end`, with settings by which no step is due.
class StepEnds : public Way {
 public:
  StepEnds(std::string name, double most, const World& world, const EmptyDirectory& directory,
           cairn::CheckpointSettings settings)
      : Way(name, most),
        checkpoint_(world.comm(), std::move(name), directory.path(), std::move(settings)) {
    state_.add("values", std::span(values_), cairn::whole({values_.size()}));
  }

  void run(std::uint64_t steps) override {
    for (const std::uint64_t last = step_ + steps; step_ < last;) {
      if (checkpoint_.step_end(++step_, state_) == cairn::Next::stop) throw Failure("a signal");
    }
  }

 private:
  std::array<float, 1024> values_{};
  cairn::State state_;
  cairn::ModelCheckpoint checkpoint_;
  std::uint64_t step_ = 0;
};

/// The same words in the same kind of reduction, posted at one step and tested at the next until it
/// is complete: no deadline, no question who does not answer.
class ByHand : public Way {
 public:
  explicit ByHand(const World& world) : Way("by hand", {}) { MPI_Comm_dup(world.comm(), &comm_); }
  ~ByHand() override {
    MPI_Wait(&request_, MPI_STATUS_IGNORE);
    MPI_Comm_free(&comm_);
  }

  void run(std::uint64_t steps) override {
    for (std::uint64_t step = 0; step < steps; ++step) {
      for (int done = 0; done == 0;) MPI_Test(&request_, &done, MPI_STATUS_IGNORE);
      MPI_Iallreduce(mine_.data(), any_.data(), static_cast<int>(mine_.size()), MPI_INT32_T,
                     MPI_MAX, comm_, &request_);
    }
  }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::array<std::int32_t, 4> mine_{};
  std::array<std::int32_t, 4> any_{};
};

using Ways = std::vector<std::unique_ptr<Way>>;
constexpr std::size_t kByHand = 0;  ///< which of them

Ways make_ways(const World& world, const EmptyDirectory& directory) {
  Ways ways;
  ways.push_back(std::make_unique<ByHand>(world));
  const auto add = [&](std::string name, double most, cairn::CheckpointSettings settings) {
    ways.push_back(
        std::make_unique<StepEnds>(std::move(name), most, world, directory, std::move(settings)));
  };
  add("steps", kMostAlone, {.save_checkpoint_steps = kNeverDue});
  add("seconds", kMostWithReduction, {.save_checkpoint_seconds = kNeverDue});
  add("steps, exception_save", kMostWithReduction,
      {.save_checkpoint_steps = kNeverDue, .exception_save = true});
  add("seconds, exception_save", kMostWithReduction,
      {.save_checkpoint_seconds = kNeverDue, .exception_save = true});
  return ways;
}

/// Collective. Nanoseconds a step, of the slowest rank.
double nanoseconds(Way& way, std::uint64_t steps, const World& world) {
  const double start = world.synchronised_time();
  way.run(steps);
  const double picoseconds = (MPI_Wtime() - start) * 1e12 / static_cast<double>(steps);
  return static_cast<double>(world.max(static_cast<std::uint64_t>(picoseconds))) / 1e3;
}

/// What a way took, turn by turn.
struct Line {
  const Way& way;
  std::vector<double> nanoseconds;
};

std::vector<Line> measure(const Ways& ways, const StepArguments& arguments, const World& world) {
  std::vector<Line> lines;
  for (const auto& way : ways) {
    way->run(arguments.steps);  // memory is touched, the series is open, connections are made
    lines.push_back({*way, {}});
  }
  for (std::uint64_t turn = 0; turn < arguments.repeat; ++turn) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const std::size_t which = (turn + i) % ways.size();
      lines[which].nanoseconds.push_back(nanoseconds(*ways[which], arguments.steps, world));
    }
  }
  return lines;
}

std::string_view thread_level() {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  switch (level) {
    case MPI_THREAD_SINGLE: return "single";
    case MPI_THREAD_FUNNELED: return "funneled";
    case MPI_THREAD_SERIALIZED: return "serialized";
    default: return "multiple";
  }
}

/// Whether the interval of 95 % reaches the bound, as in a comparison.
bool met(const Line& line) { return median_of(line.nanoseconds).low <= line.way.most(); }

std::string told(const Median& median, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << median.value << " (" << median.low << " to "
       << median.high << ")";
  return text.str();
}

/// Turn by turn, so that a busy machine is in both.
Median to_hand(const Line& line, const Line& by_hand) {
  std::vector<double> ratios;
  for (std::size_t turn = 0; turn < line.nanoseconds.size(); ++turn) {
    ratios.push_back(line.nanoseconds[turn] / by_hand.nanoseconds[turn]);
  }
  return median_of(std::move(ratios));
}

std::string verdict(const Line& line) {
  constexpr std::size_t kEnough = 6;  // of fewer runs no interval holds the median that surely
  if (line.nanoseconds.size() < kEnough) return "(too few runs)";
  return met(line) ? "met" : "NOT MET";
}

void print(const std::vector<Line>& lines) {
  std::cout << std::left << "\n" << std::setw(26) << "step_end, not due" << std::setw(30)
            << "ns a call, median (95 %)" << std::setw(24) << "to by hand" << "must\n";
  for (const Line& line : lines) {
    std::cout << std::setw(26) << line.way.name() << std::setw(30)
              << told(median_of(line.nanoseconds), 1);
    const auto most = line.way.most();
    std::cout << std::setw(24)
              << (most == kMostWithReduction ? told(to_hand(line, lines[kByHand]), 2) : "");
    if (most) std::cout << "at most " << static_cast<int>(*most) << "  " << verdict(line);
    std::cout << "\n";
  }
  std::cout << std::flush;
}

nlohmann::ordered_json json_of(const std::vector<Line>& lines) {
  nlohmann::ordered_json json;
  for (const Line& line : lines) {
    const Median median = median_of(line.nanoseconds);
    auto& entry = json[line.way.name()];
    entry["ns"] = line.nanoseconds;
    entry["median"] = {median.value, median.low, median.high};
    if (!line.way.most()) continue;
    entry["most"] = *line.way.most();
    entry["met"] = met(line);
  }
  return json;
}

void run_step(const StepArguments& arguments, const Stage& stage) {
  const EmptyDirectory directory(stage.world);
  const Ways ways = make_ways(stage.world, directory);
  const std::vector<Line> lines = measure(ways, arguments, stage.world);
  Report head;
  head.count("ranks", static_cast<std::uint64_t>(stage.world.ranks()))
      .text("threads", std::string(thread_level()))
      .count("steps in a run", arguments.steps)
      .count("runs", arguments.repeat);
  print_first(stage, head);
  if (stage.world.is_root()) print(lines);
  if (arguments.json.empty()) return;
  nlohmann::ordered_json json = head.json();
  json["ways"] = json_of(lines);
  write_json(stage, arguments.json, json);
}

}  // namespace

void add_step_command(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("step", "time a step_end that is not due, beside its reduction by hand");
  auto arguments = std::make_shared<StepArguments>();
  command->add_option("--steps", arguments->steps, "in each run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--repeat", arguments->repeat, "runs of each way, beside a first one")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--threads", arguments->threads, "what MPI_Init_thread is asked for")
      ->check(CLI::IsMember({"funneled", "multiple"}));
  command->add_option("--json", arguments->json, "write all figures to this file too");
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_step(*arguments, stage); };
  });
}

}  // namespace bench
