#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace cairn::tools {

/// Runs the subcommand that was chosen; returns the exit code, or throws.
using Command = std::function<int()>;

// One function and one source file per subcommand: it adds the subcommand and its options to `app`
// and, when that is the one given, stores in `chosen` what to run.
void add_ls_command(CLI::App& app, Command& chosen);
void add_show_command(CLI::App& app, Command& chosen);
void add_verify_command(CLI::App& app, Command& chosen);

}  // namespace cairn::tools
