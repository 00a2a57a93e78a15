#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cairn/error.hpp"

namespace cairn {

using Bytes = std::vector<std::byte>;

/// Puts plain values together into a message between ranks of one job (same build, same machine
/// kind: native byte order). Files are written by src/storage instead.
class WireWriter {
 public:
  WireWriter() = default;
  /// With room for so many bytes.
  explicit WireWriter(std::size_t bytes) { bytes_.reserve(bytes); }

  template <class T>
    requires std::is_trivially_copyable_v<T>
  WireWriter& put(const T& value) {
    append(&value, sizeof(T));
    return *this;
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  WireWriter& put_all(std::span<const T> values) {
    put<std::uint64_t>(values.size());
    append(values.data(), values.size_bytes());
    return *this;
  }
  WireWriter& put_text(std::string_view text) {
    return put_all(std::span<const char>(text.data(), text.size()));
  }

  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] Bytes take() noexcept { return std::exchange(bytes_, {}); }

 private:
  void append(const void* data, std::size_t count);

  Bytes bytes_;
};

/// Takes such a message apart, in the same order.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> get_all() {
    const auto count = get<std::uint64_t>();
    if (count > bytes_.size() / sizeof(T)) too_short();
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), take(count * sizeof(T)).data(), count * sizeof(T));
    return values;
  }
  std::string get_text() {
    const auto count = get<std::uint64_t>();
    const auto raw = take(count);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

  [[nodiscard]] bool done() const noexcept { return bytes_.empty(); }

 private:
  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size()) too_short();
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  [[noreturn]] static void too_short() {
    throw Error(ErrorCode::damaged, "a message between ranks is shorter than it says");
  }

  std::span<const std::byte> bytes_;
};

}  // namespace cairn
