#pragma once

#include <cstdint>

namespace cairn {

// What becomes of the keys of a MapParameter. Three hashes of one key must not know of each other: the
// keys that a rank owns, or that one bucket holds, would otherwise crowd in a part of its table.
//
// Two are part of the format, so that checkpoints depend on them: the first two outputs of the
// generator splitmix64 (Steele, Lea and Flood, 2014) seeded with the key, as 64 bits in two's
// complement whatever the map's key type.

/// The finaliser of splitmix64; a bijection.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Its inverse.
constexpr std::uint64_t unmix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 31) ^ (x >> 62)) * 0x319642b2d24d8ec3;
  x = (x ^ (x >> 27) ^ (x >> 54)) * 0x96de1b173f119089;
  return x ^ (x >> 30) ^ (x >> 60);
}

inline constexpr std::uint64_t kOwnerSalt = 0x9e3779b97f4a7c15;  ///< 2^64 ÷ the golden ratio
inline constexpr std::uint64_t kOrderSalt = 0x3c6ef372fe94f82a;  ///< twice that

/// The rank that owns a key, unless the program says otherwise.
constexpr int default_owner(std::int64_t key, int ranks) noexcept {
  const std::uint64_t hash = mix(static_cast<std::uint64_t>(key) + kOwnerSalt);
  return static_cast<int>(hash % static_cast<std::uint64_t>(ranks));
}

/// Entries are saved in ascending order of this number. No two keys share one.
constexpr std::uint64_t order_of(std::int64_t key) noexcept {
  return mix(static_cast<std::uint64_t>(key) + kOrderSalt);
}

/// The key of that number.
constexpr std::int64_t key_of_order(std::uint64_t order) noexcept {
  return static_cast<std::int64_t>(unmix(order) - kOrderSalt);
}

/// Where a table in memory looks for the key: both halves of a product of 128 bits. It is no part of
/// the format, and takes half the instructions of the others.
constexpr std::uint64_t table_hash(std::int64_t key) noexcept {
  constexpr std::uint64_t kSalt = 0xdaa66d2c7ddf743f;
  constexpr std::uint64_t kFactor = 0x94d049bb133111eb;
  const auto product =
      static_cast<unsigned __int128>(static_cast<std::uint64_t>(key) ^ kSalt) * kFactor;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace cairn
