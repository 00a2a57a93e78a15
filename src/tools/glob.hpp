#pragma once

#include <string_view>

namespace cairn::tools {

/// Whether `pattern` is `name`, or matches it: `*` stands for any bytes, '/' too, `?` for one.
inline bool matches(std::string_view pattern, std::string_view name) noexcept {
  if (pattern == name) return true;
  std::size_t at = 0;
  std::size_t star = pattern.npos;  // the last one; `resume`: where the name goes on behind it
  std::size_t resume = 0;
  for (std::size_t i = 0; i < name.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = i;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == name[i])) {
      ++at;
      ++i;
    } else if (star != pattern.npos) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == pattern.npos;
}

}  // namespace cairn::tools
