#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <span>
#include <string>

#include "cairn/error.hpp"
#include "storage/little_endian.hpp"

namespace cairn::storage {

// A page of fixed size is described by a function that visits its members in order, packed from
// offset 0 on: `visit` has number(name, integer), text(name, string, bytes) and bytes(name, array).
// The one list is what encoding, decoding and, for the record, the HDF5 type are made from.

/// Writes members into a page. Throws `invalid_argument` for a text that does not fit.
class PageEncoder {
 public:
  /// `what` is for messages: "the record".
  PageEncoder(std::span<std::byte> page, const char* what) : page_(page), what_(what) {}

  template <std::integral T>
  void number(const char*, T value) {
    store_little_endian(take(sizeof(T)), value);
  }
  void text(const char* name, const std::string& text, std::size_t bytes) {
    if (text.size() > bytes)
      refuse(name, "is longer than " + std::to_string(bytes) + " bytes", text);
    if (text.find('\0') != std::string::npos) refuse(name, "holds a zero byte", text);
    std::memcpy(take(bytes).data(), text.data(), text.size());
  }
  template <std::size_t N>
  void bytes(const char*, const std::array<std::byte, N>& bytes) {
    std::memcpy(take(N).data(), bytes.data(), N);
  }

 private:
  [[noreturn]] void refuse(const char* name, const std::string& why, const std::string& text) const {
    throw Error(ErrorCode::invalid_argument,
                std::string(what_) + "'s " + name + " " + why + ": '" + text + "'");
  }
  std::span<std::byte> take(std::size_t count) {
    at_ += count;
    return page_.subspan(at_ - count, count);
  }

  std::span<std::byte> page_;
  const char* what_;
  std::size_t at_ = 0;
};

/// Reads members from a page.
class PageDecoder {
 public:
  explicit PageDecoder(std::span<const std::byte> page) : page_(page) {}

  template <std::integral T>
  void number(const char*, T& value) {
    value = load_little_endian<T>(take(sizeof(T)));
  }
  void text(const char*, std::string& text, std::size_t bytes) {
    const auto raw = take(bytes);
    const auto end = std::ranges::find(raw, std::byte{0});
    text.assign(reinterpret_cast<const char*>(raw.data()),
                static_cast<std::size_t>(end - raw.begin()));
  }
  template <std::size_t N>
  void bytes(const char*, std::array<std::byte, N>& bytes) {
    std::memcpy(bytes.data(), take(N).data(), N);
  }

 private:
  std::span<const std::byte> take(std::size_t count) {
    at_ += count;
    return page_.subspan(at_ - count, count);
  }

  std::span<const std::byte> page_;
  std::size_t at_ = 0;
};

/// The bytes in hexadecimal: what stands where a magic word should is seldom printable.
inline std::string in_hex(std::span<const std::byte> bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    const auto value = std::to_integer<unsigned>(b);
    text += kDigits[value / 16];
    text += kDigits[value % 16];
  }
  return text;
}

}  // namespace cairn::storage
