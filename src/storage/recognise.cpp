#include "storage/recognise.hpp"

#include <algorithm>
#include <exception>
#include <optional>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

/// What may be read and hashed for the sake of a message.
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

std::optional<std::uint64_t> find(std::uint64_t number, const BlockRange& among,
                                  const Verifies& verifies) {
  std::uint64_t tries = std::max<std::uint64_t>(2, kMostBytes / among.block_bytes);
  const std::uint64_t farthest = std::max(number - among.first, among.last - 1 - number);
  for (std::uint64_t distance = 1; distance <= farthest && tries > 0; ++distance) {
    if (number + distance < among.last) {
      if (verifies(number, number + distance)) return number + distance;
      --tries;
    }
    if (number - among.first >= distance) {
      if (verifies(number, number - distance)) return number - distance;
      --tries;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string recognise_block(std::uint64_t number, const BlockRange& among,
                            const Verifies& verifies) {
  try {
    const std::optional<std::uint64_t> other = find(number, among, verifies);
    if (!other) return {};
    const std::string named = "block " + std::to_string(*other) + " of this file";
    if (verifies(*other, number)) return ": it and " + named + " have changed places";
    if (verifies(*other, *other)) return ": it is a copy of " + named;
    return ": it is " + named + ", which was moved";
  } catch (const std::exception&) {
    return {};  // the disk or the memory may be at fault; what is known already matters more
  }
}

}  // namespace cairn::storage
