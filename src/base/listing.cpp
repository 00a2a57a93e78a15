#include "base/listing.hpp"

#include <algorithm>

namespace cairn {

std::string list_names(std::span<const std::string> names) {
  constexpr std::size_t kMostListed = 8;
  const std::size_t listed = std::min(names.size(), kMostListed);
  std::string text;
  for (std::size_t i = 0; i < listed; ++i) {
    const bool last = i + 1 == names.size();
    if (i > 0) text += last ? " and " : ", ";
    text += "'" + names[i] + "'";
  }
  if (names.empty()) return "no tensor";
  if (listed < names.size()) text += " and " + std::to_string(names.size() - listed) + " more";
  return text;
}

}  // namespace cairn
