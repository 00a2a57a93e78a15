#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "cairn/error.hpp"

namespace cairn::fuzz {

/// What a fuzzer is given, taken piece by piece from the front. Behind its end there are zeros.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span(data, size))) {}

  template <std::integral T>
  T number() {
    T value{};
    const auto bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  /// At most `count` bytes.
  std::span<const std::byte> take(std::size_t count) {
    const auto first = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(first.size());
    return first;
  }
  std::span<const std::byte> rest() { return take(rest_.size()); }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

/// Runs what must either succeed or throw an `Error`. False: it threw one.
template <class Call>
bool accepts(Call&& call) {
  try {
    call();
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// What must hold of bytes that were accepted.
inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace cairn::fuzz
