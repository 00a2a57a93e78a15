#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "appendix.hpp"
#include "async_saves.hpp"
#include "cairn/cairn.hpp"
#include "command.hpp"
#include "options.hpp"
#include "slices.hpp"
#include "workload_file.hpp"

namespace bench {
namespace {

/// The run id of saves whose time is given: with it, equal states make equal files.
constexpr std::byte kFixedRunIdByte{0x5a};

struct SaveArguments {
  std::string workload;
  std::string directory;
  std::string prefix = "CKP";
  std::uint64_t step = 1;
  std::uint64_t repeat = 1;
  std::optional<long double> saved_at;  // seconds; a double has no room for their nanoseconds
  std::string writer = "direct";
  bool shards = false;
  bool advance = false;
  bool resume = false;
  bool append_info = false;
  bool asynchronous = false;
  bool lazy = false;
  std::string threads;
  double step_seconds = AsyncArguments{}.step_seconds;
  std::optional<Slicing> slicing;
  std::optional<std::size_t> block_bytes;
  std::optional<std::size_t> staging_bytes;
  std::optional<std::int64_t> keep;
  ProtectionArguments protection;
  std::string json;
};

constexpr std::array kWriters{cairn::Writer::direct, cairn::Writer::hdf5, cairn::Writer::mpiio};

std::vector<std::string> writer_names() {
  std::vector<std::string> names;
  for (const cairn::Writer writer : kWriters) names.emplace_back(to_string(writer));
  return names;
}

cairn::Writer writer_named(const std::string& name) {
  return *std::ranges::find(kWriters, name, [](cairn::Writer writer) { return to_string(writer); });
}

cairn::CheckpointSettings settings_of(const SaveArguments& arguments) {
  cairn::CheckpointSettings settings;
  settings.integrated_save = !arguments.shards;
  settings.async_save = arguments.asynchronous;
  settings.lazy_capture = arguments.lazy;
  settings.crc_check = arguments.protection.crc;
  settings.enc_key = arguments.protection.key();
  if (!arguments.protection.enc_mode.empty()) {
    settings.enc_mode = cairn::enc_mode_named(arguments.protection.enc_mode);
  }
  if (arguments.keep) settings.keep_checkpoint_max = *arguments.keep;
  cairn::WriteOptions& write = settings.write;
  write.writer = writer_named(arguments.writer);
  write.block_bytes = arguments.block_bytes.value_or(write.block_bytes);
  write.staging_bytes = arguments.staging_bytes.value_or(write.staging_bytes);
  if (arguments.saved_at) {
    const cairn::Time time{std::chrono::nanoseconds{std::llround(*arguments.saved_at * 1e9L)}};
    settings.clock = [time] { return time; };
    settings.run_id.emplace().fill(kFixedRunIdByte);
  }
  return settings;
}

/// One save, as told on every rank.
struct Save {
  std::uint64_t step;
  double seconds;  ///< until the last rank returned
  cairn::SaveReport report;
};

Report report_of(const Save& save, std::size_t number, std::uint64_t repeat) {
  const cairn::SaveReport& done = save.report;
  Report report;
  report.text("save", std::to_string(number) + " of " + std::to_string(repeat))
      .count("step", save.step)
      .text("path", done.path.string())
      .bytes("bytes", done.file_bytes);
  for (std::size_t i = 0; i < cairn::kPhaseCount; ++i) {
    const std::string phase(cairn::to_string(static_cast<cairn::Phase>(i)));
    report.number("seconds " + phase, done.seconds[i], 4);
  }
  return report.number("seconds total", save.seconds, 4)
      .number("MB/s", ratio(static_cast<double>(done.value_bytes) / 1e6, save.seconds), 1)
      .text("plan", done.plan_reused ? "reused" : "made")
      .text("I/O", done.direct_io ? "direct" : "buffered")
      .text("space", done.reserved ? "reserved" : "unreserved");
}

/// The worst of all saves.
Report summary_of(const std::vector<Save>& saves, const Stage& stage, const Slices& slices) {
  std::uint64_t staged = 0;
  std::uint64_t plan = 0;
  cairn::SaveReport uneven;
  for (const Save& save : saves) {
    staged = std::max(staged, save.report.staged_peak);
    plan = std::max(plan, save.report.plan_bytes);
    if (save.report.written_max >= uneven.written_max) uneven = save.report;
  }
  Report report;
  add_memory_peaks(report, stage, slices);
  report.bytes("peak staged bytes, max", staged)
      .bytes("bytes written per rank, max", uneven.written_max)
      .number("bytes written per rank, max/mean",
              ratio(static_cast<double>(uneven.written_max), uneven.written_mean), 3)
      .bytes("plan bytes of a rank, max", plan);
  return report;
}

Report report_of(const std::optional<cairn::Restored>& restored) {
  Report report;
  if (!restored) return report.text("resumed from", "nothing: no checkpoint there");
  report.text("resumed from", restored->path.string()).count("resumed step", restored->step);
  for (const cairn::Skipped& skipped : restored->skipped) {
    report.text("skipped", skipped.path.string() + ": " + skipped.reason);
  }
  return report;
}

nlohmann::ordered_json json_of(const std::vector<Report>& reports) {
  auto list = nlohmann::ordered_json::array();
  for (const Report& report : reports) list.push_back(report.json());
  return list;
}

/// The step of the first save.
std::uint64_t resume(const SaveArguments& arguments, const Stage& stage, Slices& slices,
                     cairn::ModelCheckpoint& checkpoint) {
  if (!arguments.resume) return arguments.step;
  const auto restored = checkpoint.restore(slices.state());
  print_next(stage, report_of(restored));
  return restored && arguments.advance ? restored->step + 1 : arguments.step;
}

void run_async(const SaveArguments& arguments, const Stage& stage, Slices& slices, Report head) {
  cairn::CheckpointSettings settings = settings_of(arguments);
  if (!arguments.keep) settings.keep_checkpoint_max = 1;
  slices.fill(arguments.step);
  std::vector<Report> reports = run_async_saves(
      {arguments.directory, arguments.prefix, arguments.repeat, arguments.step_seconds}, stage,
      slices, std::move(settings));
  if (arguments.json.empty()) return;
  const Report summary = reports.back();
  reports.pop_back();
  nlohmann::ordered_json json = head.json();
  json["saves"] = json_of(reports);
  json.update(summary.json());
  write_json(stage, arguments.json, json);
}

void run_save(const SaveArguments& arguments, const Stage& stage) {
  const Workload workload = read_workload(stage.world, arguments.workload);
  Slices slices(stage.world, workload, arguments.slicing);
  const Report head = describe(stage, arguments.workload, workload, slices);
  print_first(stage, head);
  if (arguments.asynchronous) {
    run_async(arguments, stage, slices, head);
    return;
  }

  cairn::CheckpointSettings settings = settings_of(arguments);
  Appendix appendix(stage.world);
  if (arguments.append_info) settings.append_info = appendix.items();
  cairn::ModelCheckpoint checkpoint(stage.world.comm(), arguments.prefix, arguments.directory,
                                    std::move(settings));
  std::uint64_t step = resume(arguments, stage, slices, checkpoint);
  std::vector<Save> saves;
  std::vector<Report> reports;
  slices.fill(step);
  appendix.fill(step);
  while (saves.size() < arguments.repeat) {
    if (arguments.advance && !saves.empty()) {
      slices.fill(++step);
      appendix.fill(step);
    }
    const double start = stage.world.synchronised_time();
    cairn::SaveReport done = checkpoint.save(step, slices.state());
    const double end = stage.world.synchronised_time();
    saves.push_back({step, end - start, std::move(done)});
    reports.push_back(report_of(saves.back(), saves.size(), arguments.repeat));
    print_next(stage, reports.back());
  }
  const Report summary = summary_of(saves, stage, slices);
  print_next(stage, summary);
  if (arguments.json.empty()) return;
  nlohmann::ordered_json json = head.json();
  json["saves"] = json_of(reports);
  json.update(summary.json());
  write_json(stage, arguments.json, json);
}

void add_options(CLI::App& command, SaveArguments& arguments) {
  command.add_option("--workload", arguments.workload, "the tensors to save, a JSON file")
      ->required();
  command.add_option("--dir", arguments.directory, "where checkpoints go")->required();
  command.add_option("--prefix", arguments.prefix, "what their names begin with")
      ->capture_default_str();
  command.add_option("--step", arguments.step, "the step to save, part of the values")
      ->capture_default_str();
  command.add_option("--repeat", arguments.repeat, "save this often, each replacing the last one")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--shards", arguments.shards, "a directory with one file per rank");
  command.add_flag("--append-info", arguments.append_info,
                   "append a value of each type, counters and tensors");
  command.add_flag("--advance", arguments.advance,
                   "each of --repeat saves the next step, with its values");
  command.add_flag("--resume", arguments.resume,
                   "restore first and continue that series; with --advance, its steps too");
  command
      .add_option("--saved-at", arguments.saved_at,
                  "seconds since 1970 instead of the clock, and a fixed run id: equal saves make "
                  "equal files")
      ->check(CLI::Range(0.0, 9.2e9));
  command.add_option("--writer", arguments.writer, "how bytes reach the file")
      ->check(CLI::IsMember(writer_names()))
      ->capture_default_str();
  CLI::Option* const asynchronous =
      command.add_flag("--async", arguments.asynchronous,
                       "asynchronous saves while a kernel computes: what each costs it");
  command.add_flag("--lazy", arguments.lazy, "values are captured while the next step computes")
      ->needs(asynchronous);
  command.add_option("--threads", arguments.threads, "what MPI_Init_thread is asked for")
      ->check(CLI::IsMember({"funneled", "multiple"}));
  command
      .add_option("--step-seconds", arguments.step_seconds,
                  "of computing between two saves and, with --lazy, before each update")
      ->needs(asynchronous)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  for (const char* other : {"--advance", "--append-info", "--resume", "--saved-at"}) {
    asynchronous->excludes(command.get_option(other));
  }
  add_protection_options(command, arguments.protection);
  add_slicing_option(command, arguments.slicing);
  add_bytes_option(command, "--block-bytes", arguments.block_bytes, "largest block");
  add_bytes_option(command, "--staging-bytes", arguments.staging_bytes,
                   "values in buffers of a rank, at most");
  command.add_option("--keep", arguments.keep, "keep this many checkpoints of the series");
  command.add_option("--json", arguments.json, "write all that is printed to this file too");
}

}  // namespace

void add_save_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("save", "fill a workload by the rule and save it");
  auto arguments = std::make_shared<SaveArguments>();
  add_options(*command, *arguments);
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_save(*arguments, stage); };
  });
}

}  // namespace bench
