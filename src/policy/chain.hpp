#pragma once

#include <cstdint>

namespace cairn::policy {

/// A restart replays all increments; so many are at most on one full checkpoint.
inline constexpr std::uint64_t kMostIncrements = 64;

/// A full checkpoint with MapParameters and the increments on it.
struct ChainSoFar {
  std::uint64_t increments = 0;
  std::uint64_t base_bytes = 0;       ///< of the entries in the full one
  std::uint64_t increment_bytes = 0;  ///< of those in all increments
};

/// Whether the next save is full: the increments have outgrown what they are on, or are many.
constexpr bool is_full_due(const ChainSoFar& chain) noexcept {
  return chain.increments >= kMostIncrements || chain.increment_bytes >= chain.base_bytes;
}

}  // namespace cairn::policy
