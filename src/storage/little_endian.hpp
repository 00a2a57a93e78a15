#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace cairn::storage {

/// Writes `value` to the begin of `bytes`, lowest byte first.
template <std::integral T>
void store_little_endian(std::span<std::byte> bytes, T value) noexcept {
  auto rest = static_cast<std::uint64_t>(static_cast<std::make_unsigned_t<T>>(value));
  for (std::size_t i = 0; i < sizeof(T); ++i, rest >>= 8U) {
    bytes[i] = static_cast<std::byte>(rest & 0xFFU);
  }
}

template <std::integral T>
T load_little_endian(std::span<const std::byte> bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) {
    value = (value << 8U) | std::to_integer<std::uint64_t>(bytes[i - 1]);
  }
  return static_cast<T>(value);
}

}  // namespace cairn::storage
