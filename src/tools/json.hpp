#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cairn/inspect.hpp"

namespace cairn::tools {

// The JSON that `--json` prints; docs/tools.md lists the keys.

using Json = nlohmann::ordered_json;

/// What all subcommands tell of a checkpoint.
Json info_json(const CheckpointInfo& info);

/// null where there is no problem.
Json problem_json(const std::optional<Error>& problem);

/// Prints one document. Bytes that are no UTF-8 become U+FFFD.
void print(const Json& document);

/// "file", "sealed file", "shards" or "sealed shards", and "breakpoint" where it is one; or "lone
/// shards", and of which ranks.
std::string kind_of(const CheckpointInfo& info);

/// As docs/tools.md lists them.
std::string state_of(const CheckpointInfo& info);

}  // namespace cairn::tools
