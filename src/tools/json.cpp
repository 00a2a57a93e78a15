#include "tools/json.hpp"

#include <iostream>

#include "tools/printable.hpp"

namespace cairn::tools {

namespace {

/// "0-2, 5"
std::string ranges_of(const std::vector<std::uint64_t>& ascending) {
  constexpr std::size_t kMost = 8;
  std::string text;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    if (ranges++ == kMost) return text + ", …";
    const std::size_t first = i;
    while (i + 1 < ascending.size() && ascending[i + 1] == ascending[i] + 1) ++i;
    text += (text.empty() ? "" : ", ") + std::to_string(ascending[first]);
    if (i > first) text += "-" + std::to_string(ascending[i]);
  }
  return text;
}

}  // namespace

std::string kind_of(const CheckpointInfo& info) {
  if (info.lone) {
    const std::vector<std::uint64_t>& ranks = info.lone->ranks;
    return std::string(info.sealed ? "sealed " : "") + "lone shards, " +
           std::to_string(ranks.size()) + " of " + std::to_string(info.lone->of) +
           (ranks.size() == 1 ? ": rank " : ": ranks ") + ranges_of(ranks);
  }
  std::string kind = info.shards ? "shards" : "file";
  if (info.sealed) kind = "sealed " + kind;
  if (info.breakpoint) kind += ", breakpoint";
  if (info.increment > 0) {
    kind += ", increment " + std::to_string(info.increment) + " on " + std::to_string(info.base);
  }
  return kind;
}

std::string state_of(const CheckpointInfo& info) {
  if (info.problem) return info.problem->code() == ErrorCode::damaged ? "damaged" : "unreadable";
  if (info.broken) return "broken";
  if (info.lone) return "alone";
  return info.misnamed ? "misnamed" : "good";
}

Json problem_json(const std::optional<Error>& problem) {
  if (!problem) return nullptr;
  return {{"code", to_string(problem->code())}, {"message", problem->what()}};
}

Json info_json(const CheckpointInfo& info) {
  Json json{{"path", info.path.string()},
            {"state", state_of(info)},
            {"series", info.series},
            {"sequence", info.sequence},
            {"step", info.step},
            {"epoch", info.epoch},
            {"step_in_epoch", info.step_in_epoch},
            {"steps_per_epoch", info.steps_per_epoch},
            {"saved_at", iso_time(info.saved_at)},
            {"run_id", hex(info.run_id)},
            {"form", info.lone ? "lone shards" : info.shards ? "shards" : "file"},
            {"sealed", info.sealed},
            {"breakpoint", info.breakpoint},
            {"bytes", info.bytes},
            {"increment", info.increment},
            {"base", info.increment > 0 ? Json(info.base) : Json(nullptr)}};
  if (info.lone) json["lone"] = {{"ranks", info.lone->ranks}, {"of", info.lone->of}};
  json["broken"] = info.broken ? Json(*info.broken) : Json(nullptr);
  json["problem"] = problem_json(info.problem);
  json["misnamed"] = info.misnamed ? Json(*info.misnamed) : Json(nullptr);
  return json;
}

void print(const Json& document) {
  constexpr int kIndent = 1;
  std::cout << document.dump(kIndent, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace cairn::tools
