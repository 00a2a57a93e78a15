#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <memory>

#include "cairn/inspect.hpp"
#include "tools/command.hpp"
#include "tools/exit_codes.hpp"
#include "tools/json.hpp"
#include "tools/printable.hpp"
#include "tools/ranks.hpp"
#include "tools/table.hpp"

namespace cairn::tools {
namespace {

struct LsArguments {
  std::string directory = ".";
  bool all = false;
  bool json = false;
};

constexpr const char* kFooter = R"(Series, those of later runs first; in a series the newest first. Needs no key and no MPI.

Examples:
  cairn ls checkpoints
  cairn ls --all checkpoints                          what killed jobs left behind, by name
  cairn ls --json checkpoints | jq '.checkpoints[0].path')";

Json json_of_entry(const CheckpointInfo& info) {
  Json json = info_json(info);
  if (info.problem) {  // the name tells the rest
    for (const char* key : {"sequence", "step", "steps_per_epoch", "saved_at", "run_id"}) {
      json[key] = nullptr;
    }
  }
  return json;
}

Json json_of(const LsArguments& arguments, const Listing& listing) {
  Json json{{"directory", arguments.directory},
            {"checkpoints", Json::array()},
            {"leftovers", Json::array()}};
  for (const CheckpointInfo& info : listing.checkpoints) {
    json["checkpoints"].push_back(json_of_entry(info));
  }
  for (const Leftover& left : listing.leftovers) {
    json["leftovers"].push_back(
        {{"path", left.path.string()}, {"kind", to_string(left.kind)}, {"bytes", left.bytes}});
  }
  return json;
}

std::string shown_path(const std::filesystem::path& path, const std::string& root) {
  return path.lexically_relative(root).string();
}

/// Why it is not simply good.
std::string note_of(const CheckpointInfo& info) {
  if (info.problem) return info.problem->what();
  if (info.broken) return *info.broken;
  return "it is " + *info.misnamed + ", not the one it is named for; restore() passes over it";
}

void add_row(const CheckpointInfo& info, const std::string& root, Table& table) {
  const auto known = [&](std::uint64_t number) {
    return info.problem ? std::string("?") : std::to_string(number);
  };
  const std::string age =
      info.problem ? "?" : readable_age(std::chrono::system_clock::now() - info.saved_at);
  table.row({known(info.sequence), known(info.step), std::to_string(info.epoch), kind_of(info),
             readable_bytes(info.bytes), age, state_of(info), shown_path(info.path, root)});
  if (info.problem || info.broken || info.misnamed) table.note(note_of(info));
}

void print_series(const std::vector<CheckpointInfo>& all, const std::string& root) {
  using enum Table::Align;
  for (std::size_t i = 0; i < all.size();) {
    const std::string& series = all[i].series;
    Table table({{"sequence", right}, {"step", right}, {"epoch", right}, {"kind"}, {"size", right},
                 {"age", right}, {"state"}, {"name"}});
    for (; i < all.size() && all[i].series == series; ++i) add_row(all[i], root, table);
    std::cout << (series.empty() ? "of no series" : "series " + printable(series)) << '\n';
    table.print(std::cout, 2);
  }
}

/// "2 temporary, 1 trash"
std::string counted(const std::vector<Leftover>& leftovers) {
  std::map<Leftover::Kind, std::size_t> counts;
  for (const Leftover& left : leftovers) ++counts[left.kind];
  std::string text;
  for (const auto& [kind, count] : counts) {
    if (!text.empty()) text += ", ";
    text += std::to_string(count) + " " + std::string(to_string(kind));
  }
  return text;
}

void print_leftovers(const std::vector<Leftover>& leftovers, const LsArguments& arguments) {
  if (leftovers.empty()) return;
  if (!arguments.all) {
    std::cout << "left over: " << counted(leftovers) << " (--all names them)\n";
    return;
  }
  Table table({{"kind"}, {"size", Table::Align::right}, {"name"}});
  for (const Leftover& left : leftovers) {
    table.row({std::string(to_string(left.kind)), readable_bytes(left.bytes),
               shown_path(left.path, arguments.directory)});
  }
  std::cout << "left over\n";
  table.print(std::cout, 2);
}

int worst_of(const Listing& listing) {
  int code = kExitGood;
  for (const CheckpointInfo& info : listing.checkpoints) {
    if (info.problem && code != kExitDamaged) code = exit_code_of(info.problem->code());
    if (info.broken) code = kExitDamaged;
  }
  return code;
}

int run_ls(const LsArguments& arguments) {
  const Listing listing = list(arguments.directory);
  const int code = worst_of(listing);
  if (!speaks()) return code;
  if (arguments.json) {
    print(json_of(arguments, listing));
    return code;
  }
  if (listing.checkpoints.empty()) {
    std::cout << "no checkpoints in " << printable(arguments.directory) << '\n';
  }
  print_series(listing.checkpoints, arguments.directory);
  print_leftovers(listing.leftovers, arguments);
  return code;
}

}  // namespace

void add_ls_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<LsArguments>();
  CLI::App& command = *app.add_subcommand("ls", "the checkpoints in a directory");
  command.add_option("DIR", arguments->directory, "the directory, or the root of a catalog")
      ->capture_default_str();
  command.add_flag("--all,-a", arguments->all,
                   "name what is left over too: temporary files, trash, replaced, quarantined");
  command.add_flag("--json", arguments->json, "one JSON document");
  command.footer(kFooter);
  command.callback([arguments, &chosen] { chosen = [arguments] { return run_ls(*arguments); }; });
}

}  // namespace cairn::tools
