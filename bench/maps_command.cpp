// Times a MapParameter against Abseil's flat_hash_map, by turns, so that what the machine does
// meanwhile hits all of them alike. What is told is the ratio to the fastest of the others in the
// same turn.
#include <CLI/CLI.hpp>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "cairn/map_parameter.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "map_saves.hpp"
#include "map_tasks.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

struct MapsArguments {
  std::uint64_t entries = 1'000'000;
  std::uint64_t repeat = 11;
  std::vector<std::size_t> batches{1, 4096};
  std::string json;
  std::string directory;
  double touched = 0.01;
  bool shards = false;
  ProtectionArguments protection;
};

/// Operations in one timing.
constexpr std::uint64_t kMostOperations = std::uint64_t{1} << 20;

class CairnMap {
 public:
  void get(std::int64_t key, Row& row) const { map_.get(key, std::span<float>(row)); }
  void put(std::int64_t key, const Row& row) { map_.put(key, std::span<const float>(row)); }
  void erase(std::int64_t key) { map_.erase(key); }
  void get(std::span<const std::int64_t> keys, std::span<Row> rows) const {
    map_.get(keys, std::as_writable_bytes(rows));
  }
  void put(std::span<const std::int64_t> keys, std::span<const Row> rows) {
    map_.put(keys, std::as_bytes(rows));
  }
  void erase(std::span<const std::int64_t> keys) { map_.erase(keys); }

 private:
  cairn::MapParameter map_ = cairn::MapParameter::of<std::int64_t, float>({Row{}.size()});
};

/// Which keys are asked for.
struct KeySets {
  std::vector<std::int64_t> there;   ///< all, in random order
  std::vector<std::int64_t> absent;  ///< none of them
  std::vector<std::int64_t> uniform;
  /// The k-th most frequent key with a probability near 1 / k: Zipf's law of exponent 1.
  std::vector<std::int64_t> skewed;
};

KeySets make_keys(std::uint64_t entries) {
  std::mt19937_64 random(4);
  const auto any = [&random] { return static_cast<std::int64_t>(random()); };
  KeySets sets;
  const std::uint64_t operations = std::min(entries, kMostOperations);
  // 64 random bits: that two are equal is all but impossible, and would do no harm.
  sets.there.resize(entries);
  std::ranges::generate(sets.there, any);
  sets.absent.resize(operations);
  std::ranges::generate(sets.absent, any);
  std::uniform_real_distribution<double> share(0, 1);
  for (std::uint64_t i = 0; i < operations; ++i) {
    const double rank = std::exp(share(random) * std::log(static_cast<double>(entries)));
    sets.skewed.push_back(sets.there[std::min(static_cast<std::uint64_t>(rank), entries) - 1]);
    sets.uniform.push_back(sets.there[random() % entries]);
  }
  std::ranges::shuffle(sets.there, random);
  return sets;
}

std::vector<Row> make_rows(std::size_t count) {
  std::vector<Row> rows(count);
  float value = 0;
  for (Row& row : rows) {
    for (float& element : row) element = ++value;
  }
  return rows;
}

/// A task and what each contender took for it, turn by turn.
struct Line {
  MapTask task;
  std::vector<std::vector<double>> nanoseconds;
};

std::vector<Line> make_lines(const KeySets& sets, const std::vector<std::size_t>& batches) {
  const auto some = std::span(sets.there)
                        .first(std::min<std::size_t>(sets.there.size() / 2 + 1, kMostOperations));
  std::vector<Line> lines;
  for (const std::size_t batch : batches) {
    lines.push_back({{MapOperation::fill, "all", sets.there, batch}, {}});
    lines.push_back({{MapOperation::get, "uniform", sets.uniform, batch}, {}});
    lines.push_back({{MapOperation::get, "skewed", sets.skewed, batch}, {}});
    lines.push_back({{MapOperation::miss, "absent", sets.absent, batch}, {}});
    lines.push_back({{MapOperation::put, "uniform", sets.uniform, batch}, {}});
    lines.push_back({{MapOperation::put, "skewed", sets.skewed, batch}, {}});
    lines.push_back({{MapOperation::erase, "distinct", some, batch}, {}});
  }
  return lines;
}

std::string name_of(const Line& line) {
  constexpr std::array kNames{"fill", "get", "miss", "put", "erase"};
  return std::string(kNames[static_cast<std::size_t>(line.task.operation)]) + " " +
         line.task.keys_name + ", " + std::to_string(line.task.batch);
}

/// The first contender against the fastest of the others in each turn; nothing where there is none.
std::vector<double> ratios_of(const Line& line) {
  std::vector<double> ratios;
  for (std::size_t turn = 0; line.nanoseconds.size() > 1 && turn < line.nanoseconds[0].size();
       ++turn) {
    double fastest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i < line.nanoseconds.size(); ++i) {
      fastest = std::min(fastest, line.nanoseconds[i][turn]);
    }
    ratios.push_back(line.nanoseconds[0][turn] / fastest);
  }
  return ratios;
}

void print_table(const std::vector<Line>& lines, const std::vector<NamedContender>& maps) {
  constexpr int kNameColumns = 22;
  std::cout << "ns for each of\n" << std::left << std::setw(kNameColumns) << "operation, batch";
  for (const NamedContender& map : maps) std::cout << "  " << map.name;
  if (maps.size() > 1) std::cout << "  cairn ÷ the fastest other (95 %)";
  std::cout << "\n" << std::fixed;
  for (const Line& line : lines) {
    std::cout << std::left << std::setw(kNameColumns) << name_of(line) << std::right;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      std::cout << std::setprecision(1) << std::setw(static_cast<int>(maps[i].name.size()) + 2)
                << median_of(line.nanoseconds[i]).value;
    }
    const std::vector<double> ratios = ratios_of(line);
    if (!ratios.empty()) {
      const Median ratio = median_of(ratios);
      std::cout << "  " << std::setprecision(2) << ratio.value << " (" << ratio.low << "–"
                << ratio.high << ")";
    }
    std::cout << "\n";
  }
  std::cout << std::flush;
}

nlohmann::ordered_json json_of(const std::vector<Line>& lines,
                               const std::vector<NamedContender>& maps) {
  nlohmann::ordered_json json;
  for (const Line& line : lines) {
    auto& entry = json[name_of(line)];
    for (std::size_t i = 0; i < maps.size(); ++i) entry["ns"][maps[i].name] = line.nanoseconds[i];
    const std::vector<double> ratios = ratios_of(line);
    if (ratios.empty()) continue;
    const Median ratio = median_of(ratios);
    entry["ratio to the fastest other"] = {ratio.value, ratio.low, ratio.high};
  }
  return json;
}

/// All have been told the same, so all must hold the same.
void check_same(const KeySets& sets, const std::vector<NamedContender>& maps) {
  for (const auto* keys : {&sets.there, &sets.absent}) {
    for (const std::int64_t key : *keys) {
      const Row row = maps[0].map->row_of(key);
      for (std::size_t i = 1; i < maps.size(); ++i) {
        if (maps[i].map->row_of(key) != row) {
          throw Failure("MapParameter and " + maps[i].name + " hold different rows");
        }
      }
    }
  }
}

void run_maps(const MapsArguments& arguments, const Stage& stage) {
  if (!arguments.directory.empty()) {
    return run_map_saves({arguments.directory, arguments.entries, arguments.touched,
                          arguments.repeat, arguments.json, arguments.shards,
                          arguments.protection},
                         stage);
  }
  if (stage.world.ranks() != 1) throw UsageError("maps: one rank expected");
  const KeySets sets = make_keys(arguments.entries);
  const std::vector<Row> rows = make_rows(*std::ranges::max_element(arguments.batches));
  std::vector<NamedContender> maps;
  maps.push_back({"cairn", std::make_unique<TimedMap<CairnMap>>(sets.there, rows)});
  for (NamedContender& other : other_maps(sets.there, rows)) maps.push_back(std::move(other));
  if (maps.size() == 1) {
    std::cout << "SKIPPED: the comparison, as this program was built without Abseil (Debian: "
                 "libabsl-dev)\n";
  }

  std::vector<Line> lines = make_lines(sets, arguments.batches);
  for (Line& line : lines) line.nanoseconds.resize(maps.size());
  for (std::size_t turn = 0; turn < arguments.repeat; ++turn) {
    for (Line& line : lines) {
      for (std::size_t i = 0; i < maps.size(); ++i) {
        const std::size_t which = (turn + i) % maps.size();
        line.nanoseconds[which].push_back(maps[which].map->nanoseconds(line.task));
      }
    }
  }
  check_same(sets, maps);
  std::cout << arguments.entries << " entries of 16 floats, median of " << arguments.repeat << ", ";
  print_table(lines, maps);
  if (!arguments.json.empty()) {
    write_json(stage, arguments.json,
               {{"entries", arguments.entries}, {"operations", json_of(lines, maps)}});
  }
}

}  // namespace

void add_maps_command(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("maps", "time a MapParameter against Abseil's flat_hash_map, or its saves");
  auto arguments = std::make_shared<MapsArguments>();
  command->add_option("--entries", arguments->entries, "in each map")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--repeat", arguments->repeat, "turns")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--batches", arguments->batches, "keys in one call")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--directory,-d", arguments->directory,
                      "time full saves, increments and a restart there instead, on any number of "
                      "ranks");
  command->add_option("--touched", arguments->touched, "with --directory: the part of the entries "
                                                       "that is put between two saves")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--shards", arguments->shards,
                    "with --directory: directories with one file per rank");
  add_protection_options(*command, arguments->protection);
  command->add_option("--json", arguments->json, "write all figures to this file too");
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_maps(*arguments, stage); };
  });
}

}  // namespace bench
