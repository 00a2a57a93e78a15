#pragma once

#include <span>
#include <string>

namespace cairn {

/// For messages: "'a', 'b' and 7 more", at most eight of them by name.
std::string list_names(std::span<const std::string> names);

}  // namespace cairn
