#include "map_saves.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <vector>

#include "cairn/model_checkpoint.hpp"
#include "failure.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

constexpr std::size_t kRow = 16;
using Row = std::array<float, kRow>;

/// A rank's part of an embedding: keys that it owns, with rows that say key and version.
class Embedding {
 public:
  Embedding(const World& world, std::uint64_t entries) : world_(world), entries_(entries) {
    map_.reserve(entries / static_cast<std::uint64_t>(world.ranks()) * 11 / 10);
    for (std::uint64_t i = 0; i < entries; ++i) {
      const std::int64_t key = key_of(i);
      if (map_.owner(key, world.ranks()) == world.rank()) put(key, 0);
    }
    state_.add("embedding", map_);
  }

  /// Puts about this part of the keys again.
  void touch(double part, std::uint64_t version) {
    std::mt19937_64 random(version);
    for (std::uint64_t n = static_cast<std::uint64_t>(part * static_cast<double>(entries_)); n > 0;
         --n) {
      const std::int64_t key = key_of(random() % entries_);
      if (map_.owner(key, world_.ranks()) == world_.rank()) put(key, version);
    }
  }
  /// Whether the other one, of the same ranks, holds the same.
  [[nodiscard]] bool equals(const cairn::MapParameter& other) const {
    bool same = map_.size() == other.size();
    Row row{};
    map_.for_each<float>([&](std::int64_t key, std::span<const float> mine) {
      same = same && other.get(key, std::span(row)) && std::ranges::equal(mine, row);
    });
    return same;
  }
  [[nodiscard]] const cairn::State& state() const { return state_; }

 private:
  static std::int64_t key_of(std::uint64_t i) {
    return static_cast<std::int64_t>(i * 0x9e3779b97f4a7c15);
  }
  void put(std::int64_t key, std::uint64_t version) {
    Row row{};
    row.fill(static_cast<float>(key % 1000) + static_cast<float>(version));
    map_.put(key, std::span<const float>(row));
  }

  const World& world_;
  std::uint64_t entries_;
  cairn::MapParameter map_ = cairn::MapParameter::of<std::int64_t, float>({kRow});
  cairn::State state_;
};

cairn::CheckpointSettings settings_of(const MapSavesArguments& arguments) {
  cairn::CheckpointSettings settings;
  settings.keep_checkpoint_max = 1;
  settings.incremental = true;
  settings.integrated_save = !arguments.shards;
  settings.crc_check = arguments.protection.crc;
  settings.enc_key = arguments.protection.key();
  if (!arguments.protection.enc_mode.empty()) {
    settings.enc_mode = cairn::enc_mode_named(arguments.protection.enc_mode);
  }
  return settings;
}

struct Timed {
  double seconds;
  std::uint64_t memory;  ///< of the rank with most, above its tables
  cairn::SaveReport report;
};

Timed timed_save(cairn::ModelCheckpoint& checkpoint, std::uint64_t step, const Embedding& embedding,
                 const Stage& stage) {
  const MemoryGauge gauge;
  const double start = stage.world.synchronised_time();
  cairn::SaveReport report = checkpoint.save(step, embedding.state());
  const double end = stage.world.synchronised_time();
  return {end - start, stage.world.max(gauge.peak_above()), std::move(report)};
}

/// The same in the background, until it is durable.
Timed timed_async_save(cairn::ModelCheckpoint& checkpoint, std::uint64_t step,
                       const Embedding& embedding, const Stage& stage) {
  const MemoryGauge gauge;
  const double start = stage.world.synchronised_time();
  static_cast<void>(checkpoint.step_end(step, embedding.state()));
  checkpoint.wait();
  const double end = stage.world.synchronised_time();
  return {end - start, stage.world.max(gauge.peak_above()), checkpoint.last_report().value()};
}

Report report_of(const Timed& save, std::uint64_t turn, const std::string& how = "") {
  Report report;
  return report.count("turn", turn)
      .text("save", how + (save.report.is_increment ? "increment" : "full"))
      .number("seconds", save.seconds, 4)
      .number("seconds stall", save.report.stall_seconds, 4)
      .bytes("bytes of the file", save.report.file_bytes)
      .bytes("bytes of entries", save.report.map_bytes)
      .number("MB/s", ratio(static_cast<double>(save.report.file_bytes) / 1e6, save.seconds), 1)
      .bytes("peak memory above the tables, max", save.memory);
}

/// Restores what was saved last, beside the tables that it must equal.
Report restart(const MapSavesArguments& arguments, const Embedding& embedding, const Stage& stage,
               const cairn::CheckpointSettings& settings) {
  cairn::MapParameter other = cairn::MapParameter::of<std::int64_t, float>({kRow});
  cairn::State state;
  state.add("embedding", other);
  cairn::ModelCheckpoint checkpoint(stage.world.comm(), "maps", arguments.directory, settings);
  const double start = stage.world.synchronised_time();
  const auto restored = checkpoint.restore(state);
  const double end = stage.world.synchronised_time();
  if (!stage.world.all(restored && embedding.equals(other))) {
    throw Failure("the map that was restored is another than the one that was saved");
  }
  Report report;
  return report.text("restored", restored->path.string())
      .count("increments", restored->increments)
      .number("seconds", end - start, 4)
      .text("equal to what was saved", "yes");
}

/// The reports of a full save and an increment in the background; adds the part of each that the
/// program waits for.
std::vector<Report> run_async(const MapSavesArguments& arguments, Embedding& embedding,
                              const Stage& stage, cairn::CheckpointSettings settings,
                              std::uint64_t turn, std::array<std::vector<double>, 2>& stalls) {
  settings.async_save = true;
  settings.save_checkpoint_steps = 1;
  cairn::ModelCheckpoint checkpoint(stage.world.comm(), "async", arguments.directory, settings);
  std::vector<Report> reports;
  for (std::vector<double>& parts : stalls) {
    const Timed save = timed_async_save(checkpoint, reports.size() + 1, embedding, stage);
    parts.push_back(ratio(save.report.stall_seconds, save.seconds));
    reports.push_back(report_of(save, turn, "async "));
    embedding.touch(arguments.touched, turn);
  }
  return reports;
}

}  // namespace

void run_map_saves(const MapSavesArguments& arguments, const Stage& stage) {
  Embedding embedding(stage.world, arguments.entries);
  const cairn::CheckpointSettings settings = settings_of(arguments);
  Report head;
  head.count("ranks", static_cast<std::uint64_t>(stage.world.ranks()))
      .count("entries", arguments.entries)
      .count("floats in a row", kRow)
      .number("touched before an increment", arguments.touched, 4);
  print_first(stage, head);
  std::vector<double> full;
  std::vector<double> share;
  std::vector<double> bytes;
  std::array<std::vector<double>, 2> stalls;  // of full saves and of increments
  std::uint64_t memory = 0;
  std::uint64_t step = 0;
  nlohmann::ordered_json turns = nlohmann::ordered_json::array();
  for (std::uint64_t turn = 1; turn <= arguments.repeat; ++turn) {
    for (const Report& report : run_async(arguments, embedding, stage, settings, turn, stalls)) {
      print_next(stage, report);
      turns.push_back(report.json());
    }
    // Each object begins a series of its own, and so with a full save.
    cairn::ModelCheckpoint checkpoint(stage.world.comm(), "maps", arguments.directory, settings);
    const Timed base = timed_save(checkpoint, ++step, embedding, stage);
    embedding.touch(arguments.touched, step);
    const Timed increment = timed_save(checkpoint, ++step, embedding, stage);
    for (const Timed* save : {&base, &increment}) {
      const Report report = report_of(*save, turn);
      print_next(stage, report);
      turns.push_back(report.json());
      memory = std::max(memory, save->memory);
    }
    full.push_back(base.seconds);
    share.push_back(ratio(increment.seconds, base.seconds));
    bytes.push_back(ratio(static_cast<double>(increment.report.file_bytes),
                          static_cast<double>(base.report.file_bytes)));
  }
  Report summary;
  summary.number("full save, seconds, median", median_of(full).value, 4)
      .number("an increment's part of its time, median", median_of(share).value, 4)
      .number("an increment's part of its bytes, median", median_of(bytes).value, 4)
      .number("async full save, stall / total, median", median_of(stalls[0]).value, 3)
      .number("async increment, stall / total, median", median_of(stalls[1]).value, 3)
      .bytes("peak memory above the tables, max", memory);
  print_next(stage, summary);
  const Report restarted = restart(arguments, embedding, stage, settings);
  print_next(stage, restarted);
  if (arguments.json.empty()) return;
  nlohmann::ordered_json json = head.json();
  json["saves"] = turns;
  json["summary"] = summary.json();
  json["restart"] = restarted.json();
  write_json(stage, arguments.json, json);
}

}  // namespace bench
