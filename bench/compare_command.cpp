// Saves one workload in several ways, by turns, so that what the machine does meanwhile hits all of
// them alike; what is told is the ratio of neighbours, not of averages. The values are random bits: what
// is encrypted looks so anyway, and a disk that compresses would make a cipher look slow.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cairn/cairn.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "slices.hpp"
#include "statistics.hpp"
#include "workload_file.hpp"

namespace bench {
namespace {

struct CompareArguments {
  std::string workload;
  std::string directory;
  std::uint64_t repeat = 15;
  std::vector<std::string> ways{"save", "crc", "aes-gcm"};
  std::string json;
};

const std::array kWays{"save", "crc", "aes-gcm", "aes-cbc", "sm4-cbc", "shards"};

cairn::Key some_key(std::size_t bytes) {
  return cairn::Key::with_bytes(bytes, [](std::span<std::byte> key) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(17 * i + 3);
  });
}

cairn::CheckpointSettings settings_of(const std::string& way) {
  constexpr std::size_t kAes256 = 32;
  constexpr std::size_t kSm4 = 16;
  cairn::CheckpointSettings settings;
  settings.keep_checkpoint_max = 1;
  settings.integrated_save = way != "shards";
  settings.crc_check = way == "crc";
  if (way == "aes-gcm" || way == "aes-cbc") settings.enc_key = some_key(kAes256);
  if (way == "aes-cbc") settings.enc_mode = cairn::EncMode::aes_cbc;
  if (way == "sm4-cbc") {
    settings.enc_key = some_key(kSm4);
    settings.enc_mode = cairn::EncMode::sm4_cbc;
  }
  return settings;
}

/// Seconds of processor time that this process has used, all threads, user and system.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// One way of saving, with what its saves took.
struct Way {
  std::string name;
  std::filesystem::path directory;
  std::unique_ptr<cairn::ModelCheckpoint> checkpoint;
  std::vector<double> seconds;
  std::vector<double> processor;  ///< seconds, of all ranks
};

void save_once(Way& way, const World& world, cairn::State& state, bool counts) {
  const double start = world.synchronised_time();
  const double processor_start = processor_seconds();
  way.checkpoint->save(1, state);
  const double used = processor_seconds() - processor_start;
  const double end = world.synchronised_time();
  const double used_by_all = world.sum(used);
  if (!counts) return;
  way.seconds.push_back(end - start);
  way.processor.push_back(used_by_all);
}

std::vector<Way> make_ways(const CompareArguments& arguments, const World& world) {
  std::vector<Way> ways;
  for (const std::string& name : arguments.ways) {
    Way way{name, std::filesystem::path(arguments.directory) / ("compare-" + name), {}, {}, {}};
    way.checkpoint = std::make_unique<cairn::ModelCheckpoint>(
        world.comm(), "bench", way.directory.string(), settings_of(name));
    ways.push_back(std::move(way));
  }
  return ways;
}

/// A way against the first one.
struct Verdict {
  Median seconds;
  Median ratio;
  Median processor_per_gb;  ///< more than the first one's
};

Verdict judge(const Way& way, const Way& first, double gigabytes) {
  std::vector<double> ratios;
  std::vector<double> extra;
  for (std::size_t i = 0; i < way.seconds.size(); ++i) {
    ratios.push_back(way.seconds[i] / first.seconds[i]);
    extra.push_back((way.processor[i] - first.processor[i]) / gigabytes);
  }
  return {median_of(way.seconds), median_of(std::move(ratios)), median_of(std::move(extra))};
}

void print_table(const std::vector<Way>& ways, double gigabytes) {
  std::cout << "\n"
            << std::left << std::setw(10) << "way" << std::right << std::setw(9) << "seconds"
            << std::setw(9) << "MB/s" << std::setw(24) << "÷ " + ways.front().name + " (95 %)"
            << std::setw(30) << "extra CPU s per GB (95 %)" << "\n"
            << std::fixed;
  for (const Way& way : ways) {
    const Verdict verdict = judge(way, ways.front(), gigabytes);
    std::cout << std::left << std::setw(10) << way.name << std::right << std::setprecision(3)
              << std::setw(9) << verdict.seconds.value << std::setprecision(0) << std::setw(9)
              << gigabytes * 1e3 / verdict.seconds.value << std::setprecision(3) << std::setw(8)
              << verdict.ratio.value << " (" << verdict.ratio.low << "–" << verdict.ratio.high << ")"
              << std::setw(12) << verdict.processor_per_gb.value << " ("
              << verdict.processor_per_gb.low << "–" << verdict.processor_per_gb.high << ")\n";
  }
  std::cout << std::flush;
}

nlohmann::ordered_json json_of(const std::vector<Way>& ways, double gigabytes) {
  nlohmann::ordered_json json;
  for (const Way& way : ways) {
    const Verdict verdict = judge(way, ways.front(), gigabytes);
    const auto interval = [](const Median& median) {
      return nlohmann::ordered_json{median.value, median.low, median.high};
    };
    json[way.name] = {{"seconds", way.seconds},
                      {"ratio to " + ways.front().name, interval(verdict.ratio)},
                      {"processor seconds", way.processor},
                      {"extra processor seconds per GB", interval(verdict.processor_per_gb)}};
  }
  return json;
}

void run_compare(const CompareArguments& arguments, const Stage& stage) {
  const Workload workload = read_workload(stage.world, arguments.workload);
  Slices slices(stage.world, workload, std::nullopt);
  slices.randomise();
  const Report head = describe(stage, arguments.workload, workload, slices);
  print_first(stage, head);

  std::vector<Way> ways = make_ways(arguments, stage.world);
  for (Way& way : ways) save_once(way, stage.world, slices.state(), false);  // plans, buffers
  for (std::size_t i = 0; i < arguments.repeat; ++i) {
    for (std::size_t w = 0; w < ways.size(); ++w) {
      save_once(ways[(i + w) % ways.size()], stage.world, slices.state(), true);
    }
  }
  const double gigabytes = static_cast<double>(workload.bytes()) / 1e9;
  if (stage.world.is_root()) print_table(ways, gigabytes);
  if (!arguments.json.empty()) {
    nlohmann::ordered_json json = head.json();
    json["ways"] = json_of(ways, gigabytes);
    write_json(stage, arguments.json, json);
  }
  for (Way& way : ways) {
    way.checkpoint.reset();
    if (stage.world.is_root()) std::filesystem::remove_all(way.directory);
  }
}

}  // namespace

void add_compare_command(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("compare", "save a workload in several ways, by turns, and compare times");
  auto arguments = std::make_shared<CompareArguments>();
  command->add_option("--workload", arguments->workload, "the tensors to save, a JSON file")
      ->required();
  command->add_option("--dir", arguments->directory, "where checkpoints go, and are removed again")
      ->required();
  command->add_option("--repeat", arguments->repeat, "saves in each way, beside a first one")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--ways", arguments->ways, "the first is what the others are divided by")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(kWays.begin(), kWays.end())))
      ->capture_default_str();
  command->add_option("--json", arguments->json, "write all figures to this file too");
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_compare(*arguments, stage); };
  });
}

}  // namespace bench
