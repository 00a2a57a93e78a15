#pragma once

#include <functional>

#include "stage.hpp"

namespace CLI {
class App;
}

namespace bench {

/// Runs the subcommand that was chosen; throws on every rank alike.
using Command = std::function<void(const Stage&)>;

// One function and one source file per subcommand: it adds the subcommand and its options to `app`
// and, when that is the one given, stores in `chosen` what to run.
void add_save_command(CLI::App& app, Command& chosen);
void add_load_command(CLI::App& app, Command& chosen);
void add_compare_command(CLI::App& app, Command& chosen);
void add_soak_worker_command(CLI::App& app, Command& chosen);
void add_maps_command(CLI::App& app, Command& chosen);
void add_plan_command(CLI::App& app, Command& chosen);
void add_step_command(CLI::App& app, Command& chosen);

}  // namespace bench
