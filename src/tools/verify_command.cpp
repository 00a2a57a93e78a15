#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cairn/inspect.hpp"
#include "tools/command.hpp"
#include "tools/exit_codes.hpp"
#include "tools/json.hpp"
#include "tools/keys.hpp"
#include "tools/printable.hpp"
#include "tools/progress.hpp"
#include "tools/ranks.hpp"

namespace cairn::tools {
namespace {

namespace fs = std::filesystem;

struct VerifyArguments {
  std::string path;
  KeyOption key;
  bool quiet = false;
  bool json = false;
};

constexpr const char* kFooter =
    R"(Reads every byte and checks it against what the checkpoint has: CRCs, or the tags of encryption;
without either, only the structure can be checked. Goes on after damage and names all of it. Of a
directory, every checkpoint in it and in its catalog. Under mpirun the ranks share the reading.

Examples:
  cairn verify checkpoints/run-1_500.h5
  mpirun -n 8 cairn verify --quiet checkpoints || echo "something is damaged")";

/// Of one checkpoint: a report, or why there is none.
struct Outcome {
  fs::path path;
  VerifyReport report;
  std::optional<Error> error;
};

/// A directory of shards is one checkpoint.
bool is_directory_of_checkpoints(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return false;
  if (path.filename().string().ends_with(".shards")) return false;
  return !fs::exists(path / "index.h5", ignored) && !fs::exists(path / "index.h5.enc", ignored);
}

/// A checkpoint that is to be verified.
struct Subject {
  fs::path path;
  bool sealed = false;
};

std::vector<CheckpointInfo> checkpoints_at(const fs::path& path) {
  if (is_directory_of_checkpoints(path)) return list(path).checkpoints;
  return {identify(path)};
}

/// Rank 0's list of what to verify, everywhere.
std::vector<Subject> subjects_of(const Ranks& ranks, const std::string& given) {
  std::string all;  // of each 's' or 'p', the path, and a zero byte, which no path has
  ranks.agree([&] {
    if (!ranks.is_root()) return;
    for (const CheckpointInfo& info : checkpoints_at(given)) {
      all += (info.sealed ? 's' : 'p') + info.path.string() + '\0';
    }
  });
  all = ranks.from_root(std::move(all));
  std::vector<Subject> subjects;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = all.find('\0', at);
    subjects.push_back({all.substr(at + 1, end - at - 1), all[at] == 's'});
    at = end + 1;
  }
  return subjects;
}

Outcome verify_one(const Ranks& ranks, const Subject& subject, const Keys& keys, bool quiet) {
  const fs::path& path = subject.path;
  Progress progress(printable(path.filename().string()), quiet || !ranks.is_root());
  VerifyOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.at(done, total); };
  try {
    // One rank may have a key and another not: the environment is that of each host.
    ranks.agree([&] { options.enc_key = keys.key_for(path, subject.sealed); });
    return {path, verify(ranks.comm(), path, options), std::nullopt};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unresponsive) throw;
    return {path, {}, error};
  }
}

int result_of(const Outcome& outcome) {
  if (outcome.error) return exit_code_of(outcome.error->code());
  return outcome.report.good() ? kExitGood : kExitDamaged;
}

Json json_of(const Damage& damage) {
  return {{"file", damage.file.string()},
          {"offset", damage.offset ? Json(*damage.offset) : Json(nullptr)},
          {"bytes", damage.offset ? Json(damage.bytes) : Json(nullptr)},
          {"reason", damage.reason},
          {"tensors", damage.tensors}};
}

Json json_of(const Outcome& outcome) {
  const VerifyReport& report = outcome.report;
  Json json{{"path", outcome.path.string()}, {"good", !outcome.error && report.good()}};
  json["verified"] = outcome.error ? Json(nullptr) : Json(to_string(report.verified));
  json["files"] = report.files;
  json["blocks"] = report.blocks;
  json["bytes"] = report.bytes;
  if (report.lone) json["lone"] = true;
  json["damage"] = Json::array();
  for (const Damage& damage : report.damage) json["damage"].push_back(json_of(damage));
  json["misnamed"] = report.misnamed ? Json(*report.misnamed) : Json(nullptr);
  json["problem"] = problem_json(outcome.error);
  return json;
}

/// "against their CRCs"
std::string how(Verified verified) {
  switch (verified) {
    case Verified::structure:
      return "structure only: there is nothing to check values against";
    case Verified::crc:
      return "all against their CRCs";
    case Verified::seal:
      return "all against their tags";
  }
  return {};
}

std::string counted(std::uint64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string names_of(const std::vector<std::string>& tensors) {
  std::string names;
  for (const std::string& tensor : tensors) names += (names.empty() ? "'" : ", '") + tensor + "'";
  return names;
}

void print_damage(const Damage& damage) {
  std::string line = "  " + printable(damage.file.filename().string());
  if (damage.offset) {
    line += ", " + counted(damage.bytes, "byte") + " at offset " + std::to_string(*damage.offset);
  }
  std::cout << line << ": " << printable(damage.reason) << '\n';
  if (!damage.tensors.empty()) {
    std::cout << "    tensors hit: " << printable(names_of(damage.tensors)) << '\n';
  } else if (damage.offset) {
    std::cout << "    no tensor hit, as far as is known\n";
  }
}

void print_one(const Outcome& outcome) {
  const VerifyReport& report = outcome.report;
  const std::string path = printable(outcome.path.string());
  if (outcome.error) {
    std::cout << path << ": NOT VERIFIED\n";
    return;
  }
  std::cout << path << ": " << (report.good() ? "good" : "DAMAGED") << "; "
            << counted(report.blocks, "block") << " in " << counted(report.files, "file") << ", "
            << readable_bytes(report.bytes);
  if (report.good()) std::cout << "; " << how(report.verified);
  std::cout << '\n';
  if (report.lone) std::cout << "  not looked at: whether lone shards are a whole state together\n";
  for (const Damage& damage : report.damage) print_damage(damage);
}

void complain(const Outcome& outcome) {
  if (outcome.error) {
    std::cerr << "cairn: " << to_string(outcome.error->code()) << ": "
              << printable(outcome.error->what()) << std::endl;
  } else if (outcome.report.misnamed) {
    std::cerr << "cairn: warning: " << printable(outcome.path.string()) << " is "
              << printable(*outcome.report.misnamed) << ", not the one it is named for" << std::endl;
  }
}

/// Damage counts most, as it is what was asked for; then a key, then the rest.
int worse(int a, int b) {
  for (const int code : {kExitDamaged, kExitKey, kExitError, kExitUsage}) {
    if (a == code || b == code) return code;
  }
  return kExitGood;
}

int verify_all(const VerifyArguments& arguments, const Ranks& ranks) {
  Keys keys;
  ranks.agree([&] { keys = Keys(arguments.key); });
  const std::vector<Subject> subjects = subjects_of(ranks, arguments.path);
  Json json{{"good", true}, {"checkpoints", Json::array()}};
  int code = kExitGood;
  for (const Subject& subject : subjects) {
    const Outcome outcome = verify_one(ranks, subject, keys, arguments.quiet);
    if (outcome.error && subject.path == arguments.path) throw *outcome.error;
    code = worse(code, result_of(outcome));
    if (!ranks.is_root()) continue;
    complain(outcome);
    if (arguments.json) {
      json["checkpoints"].push_back(json_of(outcome));
    } else {
      print_one(outcome);
      std::cout << std::flush;
    }
  }
  if (!ranks.is_root()) return code;
  json["good"] = code == kExitGood;
  if (arguments.json) print(json);
  if (!arguments.json && subjects.empty()) {
    std::cout << "no checkpoints in " << printable(arguments.path) << '\n';
  }
  return code;
}

int run_verify(const VerifyArguments& arguments) {
  return Ranks::run([&](const Ranks& ranks) { return verify_all(arguments, ranks); });
}

}  // namespace

void add_verify_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App& command = *app.add_subcommand("verify", "every byte of a checkpoint, or of all in a directory");
  command.add_option("PATH", arguments->path, "a checkpoint, or a directory of checkpoints")
      ->required();
  add_key_option(command, arguments->key);
  command.add_flag("--quiet,-q", arguments->quiet, "no progress on stderr");
  command.add_flag("--json", arguments->json, "one JSON document");
  command.footer(kFooter);
  command.callback(
      [arguments, &chosen] { chosen = [arguments] { return run_verify(*arguments); }; });
}

}  // namespace cairn::tools
