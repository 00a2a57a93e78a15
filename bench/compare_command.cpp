// Saves and loads one workload in several ways, and by hand, and asks the device, by turns, so that
// what the machine does meanwhile hits all of them alike; what is told is the ratio of neighbours, not
// of averages. The values are random bits: what is encrypted looks so anyway, and a disk that
// compresses would make a cipher look slow. What is judged is in compare_lines.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "baselines/h5_by_hand.hpp"
#include "cairn_contestants.hpp"
#include "command.hpp"
#include "compare_lines.hpp"
#include "failure.hpp"
#include "raw_contestants.hpp"
#include "slices.hpp"
#include "workload_file.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kLimitsAndBaselines{
    "raw write", "raw read", "copied write", "copied read", "h5 collective", "h5 independent"};
const std::vector<std::string> kUsualWays{"raw write", "sync",  "h5 collective", "h5 independent",
                                          "shards",    "crc",   "aes-gcm",       "async",
                                          "lazy",      "raw read", "load",       "resliced"};

std::vector<std::string> all_ways() {
  std::vector<std::string> ways = kLimitsAndBaselines;
  ways.insert(ways.end(), kCairnWays.begin(), kCairnWays.end());
  return ways;
}

struct CompareArguments {
  std::string workload;
  std::string directory;
  std::uint64_t repeat = 15;
  Pages pages = Pages::huge;
  std::vector<std::string> ways = kUsualWays;
  double step_seconds = 0.5;
  std::string json;
};

/// All ways that were asked for, in turn.
class Contest {
 public:
  Contest(const CompareArguments& arguments, const Stage& stage, const Workload& workload,
          Slices& slices)
      : course_{stage.world, workload, slices, fs::path(arguments.directory) / "cairn-compare",
                arguments.step_seconds, arguments.pages},
        stage_(stage) {
    if (stage.world.is_root()) fs::create_directories(course_.directory);
    static_cast<void>(stage.world.synchronised_time());
    raw_ = std::make_unique<RawDevice>(stage.world, course_.directory, workload.bytes(),
                                       arguments.pages);
    for (const std::string& way : arguments.ways) ways_.emplace_back(way, make(way));
  }
  Contest(const Contest&) = delete;
  Contest& operator=(const Contest&) = delete;
  ~Contest() {
    ways_.clear();
    static_cast<void>(stage_.world.synchronised_time());
    std::error_code ignored;
    if (stage_.world.is_root()) fs::remove_all(course_.directory, ignored);
  }

  /// The first runs make plans and touch memory; they do not count.
  Samples run(std::uint64_t repeat) {
    Samples samples;
    for (auto& [name, way] : ways_) static_cast<void>(run_once(name, *way));
    for (std::size_t i = 0; i < repeat; ++i) {
      for (std::size_t w = 0; w < ways_.size(); ++w) {
        auto& [name, way] = ways_[(i + w) % ways_.size()];
        samples[name].push_back(run_once(name, *way));
      }
      tell("run " + std::to_string(i + 1) + " of " + std::to_string(repeat));
    }
    return samples;
  }

  [[nodiscard]] const RawManner& manner() const { return raw_->manner(); }

 private:
  std::unique_ptr<Contestant> make(const std::string& way) {
    if (way == "raw write") return raw_->writing();
    if (way == "raw read") return raw_->reading();
    if (way == "copied write") return raw_->writing(RawDevice::Copies::yes);
    if (way == "copied read") return raw_->reading(RawDevice::Copies::yes);
    if (!way.starts_with("h5 ")) return make_cairn_contestant(course_, way);
    const bool collective = way == "h5 collective";
    return make_h5_by_hand(course_.world, course_.workload, course_.slices,
                           course_.directory / (collective ? "collective.h5" : "independent.h5"),
                           collective ? Transfer::collective : Transfer::independent);
  }

  Sample run_once(const std::string& name, Contestant& way) {
    tell(name);
    const Sample sample = way.run();
    way.tidy();
    settle();
    return sample;
  }

  /// What one leaves to the file system to do is done before the next one's time begins.
  void settle() const {
    if (stage_.world.is_root()) {
      const int directory = ::open(course_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (directory >= 0) {
        static_cast<void>(::syncfs(directory));
        ::close(directory);
      }
    }
    static_cast<void>(stage_.world.synchronised_time());
  }

  /// To a person who waits.
  void tell(const std::string& what) const {
    if (!stage_.world.is_root() || ::isatty(STDERR_FILENO) == 0) return;
    std::cerr << "\r\x1b[K" << what << std::flush;
  }

  Course course_;
  const Stage& stage_;
  std::unique_ptr<RawDevice> raw_;
  std::vector<std::pair<std::string, std::unique_ptr<Contestant>>> ways_;
};

/// As many columns as the text has characters: setw counts bytes.
std::string padded(const std::string& text, std::size_t columns) {
  std::size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
  return text + std::string(columns > width ? columns - width : 1, ' ');
}

std::string fixed(double value, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value;
  return text.str();
}

std::string interval(const Median& median) {
  return fixed(median.value, 3) + " (" + fixed(median.low, 3) + "–" + fixed(median.high, 3) + ")";
}

std::optional<Median> processor_per_gb(const std::vector<Sample>& samples, double gigabytes) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.processor / gigabytes);
  const Median median = median_of(std::move(values));
  return median.value > 0 ? std::optional(median) : std::nullopt;
}

void print_ways(const std::vector<std::string>& ways, const Samples& samples, double gigabytes) {
  std::cout << "\nway             seconds     MB/s  CPU s per GB\n";
  for (const std::string& way : ways) {
    const Median seconds = median_of(seconds_of(samples.at(way)));
    const auto processor = processor_per_gb(samples.at(way), gigabytes);
    const bool is_stall = way == "async" || way == "lazy";
    std::cout << padded(way, 15) << std::setw(8) << fixed(seconds.value, 4) << std::setw(9)
              << (is_stall ? "stall" : fixed(gigabytes * 1e3 / seconds.value, 0)) << std::setw(14)
              << (processor ? fixed(processor->value, 3) : "–") << '\n';
  }
}

/// In words; of fewer runs no interval holds the median that surely.
std::string verdict(const Line& line, std::size_t runs) {
  constexpr std::size_t kEnough = 6;
  if (runs < kEnough) return "(too few runs)";
  return line.met() ? "met" : "NOT MET";
}

void print_lines(const std::vector<Line>& lines, std::size_t runs) {
  std::cout << '\n' << padded("line", 34) << padded("median (95 %)", 26) << "must\n";
  for (const Line& line : lines) {
    std::cout << padded(line.name, 34) << padded(interval(line.value), 26);
    if (line.bound) {
      std::cout << (line.at_least ? "≥ " : "≤ ") << fixed(*line.bound, 2) << "  "
                << verdict(line, runs);
    }
    std::cout << '\n';
  }
  std::cout << std::flush;
}

nlohmann::ordered_json json_of(const Median& median) {
  return {median.value, median.low, median.high};
}

nlohmann::ordered_json json_of(const std::vector<std::string>& ways, const Samples& samples,
                               const std::vector<Line>& lines, double gigabytes) {
  nlohmann::ordered_json json;
  for (const std::string& way : ways) {
    nlohmann::ordered_json told;
    for (const Sample& sample : samples.at(way)) {
      told["seconds"].push_back(sample.seconds);
      told["processor seconds"].push_back(sample.processor);
      if (sample.against > 0) told["against"].push_back(sample.against);
      if (sample.planning > 0) told["seconds planning"].push_back(sample.planning);
    }
    told["MB/s"] = gigabytes * 1e3 / median_of(seconds_of(samples.at(way))).value;
    json["ways"][way] = told;
  }
  for (const Line& line : lines) {
    nlohmann::ordered_json told{{"name", line.name}, {"value", json_of(line.value)}};
    if (line.bound) {
      told["bound"] = *line.bound;
      told["at least"] = line.at_least;
      told["met"] = line.met();
    }
    json["lines"].push_back(told);
  }
  return json;
}

Report manner_of(const RawManner& manner) {
  Report report;
  return report
      .text("raw requests",
            std::string(manner.direct ? "O_DIRECT" : "buffered") + ", chosen in a warm-up")
      .bytes("raw bytes a request", manner.request_bytes)
      .count("raw requests under way", static_cast<std::uint64_t>(manner.requests));
}

void run_compare(const CompareArguments& arguments, const Stage& stage) {
  const Workload workload = read_workload(stage.world, arguments.workload);
  Slices slices(stage.world, workload, std::nullopt, arguments.pages);
  slices.randomise();
  const Report head = describe(stage, arguments.workload, workload, slices);
  print_first(stage, head);

  Contest contest(arguments, stage, workload, slices);
  const Report manner = manner_of(contest.manner());
  print_next(stage, manner);
  const Samples samples = contest.run(arguments.repeat);
  const double gigabytes = static_cast<double>(workload.bytes()) / 1e9;
  const std::vector<Line> lines =
      lines_of(samples, {.workload = fs::path(arguments.workload).stem().string(),
                         .in_memory = !contest.manner().direct,
                         .gigabytes = gigabytes});
  if (stage.world.is_root()) {
    print_ways(arguments.ways, samples, gigabytes);
    print_lines(lines, arguments.repeat);
  }
  if (arguments.json.empty()) return;
  nlohmann::ordered_json json = head.json();
  json.update(manner.json());
  json.update(json_of(arguments.ways, samples, lines, gigabytes));
  write_json(stage, arguments.json, json);
}

}  // namespace

void add_compare_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "compare", "save and load a workload in several ways, by turns, beside what limits them");
  auto arguments = std::make_shared<CompareArguments>();
  command->add_option("--workload", arguments->workload, "the tensors to save, a JSON file")
      ->required();
  command->add_option("--dir", arguments->directory, "where checkpoints go, and are removed again")
      ->required();
  command->add_option("--repeat", arguments->repeat, "runs of each way, beside a first one")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--ways", arguments->ways, "some of them only")
      ->delimiter(',')
      ->check(CLI::IsMember(all_ways()))
      ->capture_default_str();
  command->add_flag_callback(
      "--small-pages", [arguments] { arguments->pages = Pages::small; },
      "tensors in pages of 4 KiB, also where the system has huge ones");
  command->add_option("--step-seconds", arguments->step_seconds,
                      "of computing before and beside each asynchronous save")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--json", arguments->json, "write all figures to this file too");
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_compare(*arguments, stage); };
  });
}

}  // namespace bench
