#include "tools/json.hpp"

#include <iostream>

#include "tools/printable.hpp"

namespace cairn::tools {

std::string kind_of(const CheckpointInfo& info) {
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
            {"form", info.shards ? "shards" : "file"},
            {"sealed", info.sealed},
            {"breakpoint", info.breakpoint},
            {"bytes", info.bytes},
            {"increment", info.increment},
            {"base", info.increment > 0 ? Json(info.base) : Json(nullptr)}};
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
