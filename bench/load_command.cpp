#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "appendix.hpp"
#include "cairn/cairn.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "slices.hpp"
#include "workload_file.hpp"

namespace bench {
namespace {

struct LoadArguments {
  std::string workload;
  std::string from;
  std::string latest;
  std::string prefix = "CKP";
  std::optional<Slicing> slicing;
  std::optional<std::uint64_t> step;
  std::optional<std::size_t> staging_bytes;
  bool append_info = false;
  ProtectionArguments protection;
  std::string json;
};

/// Loads the file that was named, or restores the newest good one of the directory.
cairn::Restored load_state(const LoadArguments& arguments, const Stage& stage,
                           cairn::State& state, Appendix& appendix) {
  cairn::LoadOptions options;
  if (arguments.append_info) options.append_info = appendix.dict();
  options.staging_bytes = arguments.staging_bytes.value_or(options.staging_bytes);
  options.crc_check = arguments.protection.crc;
  options.enc_key = arguments.protection.key();
  if (!arguments.protection.enc_mode.empty()) {
    options.enc_mode = cairn::enc_mode_named(arguments.protection.enc_mode);
  }
  if (!arguments.from.empty()) {
    return {cairn::load(stage.world.comm(), arguments.from, state, options), {}};
  }
  cairn::ModelCheckpoint checkpoint(stage.world.comm(), arguments.prefix, arguments.latest);
  auto restored = checkpoint.restore(state, options);
  if (!restored) throw Failure("no checkpoint of " + arguments.prefix + " in " + arguments.latest);
  return std::move(*restored);
}

Report report_of(const cairn::Restored& done, double seconds) {
  const auto needed = static_cast<double>(done.bytes_needed);
  Report report;
  report.text("path", done.path.string());
  for (const cairn::Skipped& skipped : done.skipped) {
    report.text("skipped", skipped.path.string() + ": " + skipped.reason);
  }
  report.count("step", done.step)
      .count("sequence", done.sequence)
      .bytes("bytes filled", done.bytes_filled)
      .bytes("bytes needed", done.bytes_needed)
      .bytes("bytes read", done.bytes_read)
      .number("bytes read / bytes needed", ratio(static_cast<double>(done.bytes_read), needed), 3)
      .number("seconds total", seconds, 4)
      .number("MB/s", ratio(needed / 1e6, seconds), 1)
      .text("verified", std::string(cairn::to_string(done.verified)))
      .text("I/O", done.direct_io ? "direct" : "buffered")
      .bytes("peak staged bytes, max", done.staged_peak);
  return report;
}

/// "[3, 4]", the place of a row-major index.
std::string coordinates(std::uint64_t index, const cairn::Shape& shape) {
  cairn::Shape place(shape.size());
  for (std::size_t dim = shape.size(); dim-- > 0;) {
    place[dim] = index % shape[dim];
    index /= shape[dim];
  }
  return cairn::to_string(place);
}

std::string told(const FoundDifference& found, std::uint64_t step) {
  const Difference& difference = found.difference;
  return "tensor \"" + found.tensor + "\" differs from the rule of step " + std::to_string(step) +
         ", first at index " + std::to_string(difference.index) + " = " +
         coordinates(difference.index, found.shape) + " on rank " + std::to_string(found.rank) +
         ": expected " + element_text(found.dtype, difference.expected) + ", got " +
         element_text(found.dtype, difference.actual);
}

void run_load(const LoadArguments& arguments, const Stage& stage) {
  const Workload workload = read_workload(stage.world, arguments.workload);
  Slices slices(stage.world, workload, arguments.slicing);
  slices.spoil();
  Report report = describe(stage, arguments.workload, workload, slices);
  print_first(stage, report);

  const double start = stage.world.synchronised_time();
  Appendix appendix(stage.world);
  appendix.spoil();
  const cairn::Restored done = load_state(arguments, stage, slices.state(), appendix);
  const double end = stage.world.synchronised_time();
  Report results = report_of(done, end - start);
  add_memory_peaks(results, stage, slices);

  const std::uint64_t step = arguments.step.value_or(done.step);
  const auto difference = slices.find_difference(step);
  results.text("values", difference ? "wrong" : "right");
  std::string complaint;
  if (arguments.append_info) complaint = appendix.find_difference(step, done.append_info);
  if (arguments.append_info) results.text("append_info", complaint.empty() ? "right" : "wrong");
  print_next(stage, results);
  if (!arguments.json.empty()) {
    nlohmann::ordered_json json = report.json();
    json.update(results.json());
    write_json(stage, arguments.json, json);
  }
  if (difference) throw Failure(told(*difference, step));
  if (complaint.empty()) return;
  throw Failure("append_info of step " + std::to_string(step) + ": " + complaint);
}

void add_options(CLI::App& command, LoadArguments& arguments) {
  command.add_option("--workload", arguments.workload, "the tensors to load, a JSON file")
      ->required();
  CLI::Option_group* source = command.add_option_group("source", "one of");
  source->add_option("--from", arguments.from, "the checkpoint to load");
  CLI::Option* latest = source->add_option("--latest", arguments.latest,
                                           "the directory to restore the newest good one of");
  source->require_option(1);
  command.add_option("--prefix", arguments.prefix, "what their names begin with")
      ->needs(latest)
      ->capture_default_str();
  command.add_flag("--append-info", arguments.append_info,
                   "fill and compare what save --append-info appended");
  add_protection_options(command, arguments.protection);
  add_slicing_option(command, arguments.slicing);
  command.add_option("--step", arguments.step,
                     "the step whose values are expected; else the one that the checkpoint tells");
  add_bytes_option(command, "--staging-bytes", arguments.staging_bytes,
                   "values in buffers of a rank, at most");
  command.add_option("--json", arguments.json, "write all that is printed to this file too");
}

}  // namespace

void add_load_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("load", "load a checkpoint and compare every element");
  auto arguments = std::make_shared<LoadArguments>();
  add_options(*command, *arguments);
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_load(*arguments, stage); };
  });
}

}  // namespace bench
