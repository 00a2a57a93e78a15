// cairn-bench: saves and loads workloads whose every value is known, and measures both.
// Exit codes: 0 ok; 1 a difference was found or Cairn threw; 2 usage.

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

#include "cairn/error.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "memory_gauge.hpp"
#include "soak.hpp"
#include "world.hpp"

namespace bench {
namespace {

int say(const World& world, const std::string& message, int exit_code) {
  if (world.is_root()) std::cerr << "cairn-bench: " << message << std::endl;
  return exit_code;
}

/// What no other rank knows of: the others may be waiting for this one, so they are ended.
[[noreturn]] void abort_all(const World& world, const std::string& message) {
  std::cerr << "cairn-bench: rank " << world.rank() << ": " << message << std::endl;
  MPI_Abort(world.comm(), kExitFailure);
  std::abort();
}

/// Rank 0 prints help and complaints; all leave with the same code.
int leave(const CLI::App& app, const CLI::ParseError& error, const World& world) {
  std::ostringstream out;
  std::ostringstream complaint;
  const int code = app.exit(error, out, complaint);
  if (world.is_root()) {
    std::cout << out.str() << std::flush;
    std::cerr << complaint.str() << std::flush;
  }
  return code == 0 ? kExitOk : kExitUsage;
}

std::string told(const cairn::Error& error) {
  std::string text = std::string(cairn::to_string(error.code())) + ": " + error.what();
  if (error.rank() != cairn::Error::kNoRank) text += " (rank " + std::to_string(error.rank()) + ")";
  return text;
}

int run(const Command& command, const Stage& stage) {
  try {
    command(stage);
    return kExitOk;
  } catch (const UsageError& error) {
    return say(stage.world, error.what(), kExitUsage);
  } catch (const Failure& failure) {
    return say(stage.world, failure.what(), kExitFailure);
  } catch (const cairn::Error& error) {
    if (error.code() == cairn::ErrorCode::unresponsive) abort_all(stage.world, told(error));
    return say(stage.world, told(error), kExitFailure);
  } catch (const std::exception& error) {
    abort_all(stage.world, error.what());
  }
}

int run(int argc, char** argv) {
  const World world(&argc, &argv);
  const MemoryGauge gauge;  // right after MPI_Init
  CLI::App app("Saves and loads workloads whose every value is known, and measures both.",
               "cairn-bench");
  app.require_subcommand(1);
  Command command;
  add_save_command(app, command);
  add_load_command(app, command);
  add_compare_command(app, command);
  add_soak_worker_command(app, command);
  app.add_subcommand("soak", "jobs that save, restore, die and are damaged at random");  // main's
  add_maps_command(app, command);
  add_plan_command(app, command);
  add_step_command(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return leave(app, error, world);
  }
  return run(command, {world, gauge});
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (bench::is_soak(argc, argv)) return bench::run_soak(argc, argv);  // before MPI begins
  return bench::run(argc, argv);
}
