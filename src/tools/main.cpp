// cairn: looks at checkpoints. docs/tools.md has the subcommands, their JSON and the exit codes.
#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "cairn/error.hpp"
#include "tools/command.hpp"
#include "tools/exit_codes.hpp"
#include "tools/printable.hpp"
#include "tools/ranks.hpp"

namespace cairn::tools {
namespace {

constexpr const char* kFooter = R"(Exit codes: 0 good; 1 something is damaged; 2 wrong usage; 3 not found, not readable or another
error; 4 a wrong key, or none where one is needed.

Examples:
  cairn ls checkpoints
  cairn show checkpoints/run-1_500.h5
  cairn verify checkpoints
  cairn show --help)";

int complain(const std::string& message, int code) {
  if (speaks()) std::cerr << "cairn: " << message << std::endl;
  return code;
}

int leave(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream ignored;
  if (app.exit(error, out, ignored) == 0) {
    if (speaks()) std::cout << out.str() << std::flush;
    return kExitGood;
  }
  return complain(printable(error.what()) + " (cairn --help says more)", kExitUsage);
}

int run(const Command& command) {
  try {
    const int code = command();
    std::cout.flush();
    if (!std::cout) return complain("cannot write to standard output", kExitError);
    return code;
  } catch (const UsageError& error) {
    return complain(printable(error.what()), kExitUsage);
  } catch (const Error& error) {
    return complain(std::string(to_string(error.code())) + ": " + printable(error.what()),
                    exit_code_of(error.code()));
  } catch (const std::exception& error) {
    return complain(printable(error.what()), kExitError);
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Looks at checkpoints: lists them, shows what is in one, verifies every byte.", "cairn");
  app.require_subcommand(1);
  app.footer(kFooter);
  Command command;
  add_ls_command(app, command);
  add_show_command(app, command);
  add_verify_command(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return leave(app, error);
  }
  return run(command);
}

/// mpirun ends a job as soon as a process exits with anything but 0, and rank 0 may be printing.
int exit_code(int code) {
  return speaks() ? code : kExitGood;
}

}  // namespace
}  // namespace cairn::tools

int main(int argc, char** argv) {
  return cairn::tools::exit_code(cairn::tools::parse_and_run(argc, argv));
}
