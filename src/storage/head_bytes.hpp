#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/little_endian.hpp"

namespace cairn::storage {

/// Little endian numbers one after another in a piece of the head. Reading on behind its end is
/// refused, naming the piece, its place and the object that it belongs to.
class HeadPiece {
 public:
  /// `what`: "a B-tree node". `path` must outlive the piece.
  HeadPiece(std::span<const std::byte> bytes, std::uint64_t offset, const char* what,
            const std::string& path)
      : bytes_(bytes), offset_(offset), what_(what), path_(&path) {}

  template <std::integral T>
  T number() {
    return load_little_endian<T>(bytes(sizeof(T)));
  }
  /// A number that must be that one.
  template <std::integral T>
  void expect(const char* name, T expected) {
    const T found = number<T>();
    if (found != expected) refuse_number(name, found, expected);
  }
  void expect_signature(std::string_view signature) { expect_signature(signature, signature); }
  /// `name`: what to call it, where it is not for people.
  void expect_signature(std::string_view signature, std::string_view name);
  std::span<const std::byte> bytes(std::size_t count);
  /// The next `count` bytes as a piece of their own.
  HeadPiece piece(std::size_t count, const char* what);

  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

  /// Throws `damaged`: "'<path>' has <what> at offset <offset> <why>".
  [[noreturn]] void refuse(const std::string& why) const;
  [[noreturn]] void refuse_number(const char* name, std::uint64_t found,
                                  std::uint64_t expected) const;

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t offset_;  // of the first byte in the head
  const char* what_;
  const std::string* path_;
};

/// The head of an image while it is read. Its bytes may come from anybody, so each of them is given
/// out at most once: whatever refers to whatever, reading ends, and after no more work than the
/// head is long.
class HeadBytes {
 public:
  explicit HeadBytes(std::span<const std::byte> head)
      : bytes_(head), taken_((head.size() + kUnit - 1) / kUnit) {}

  /// The piece [offset, offset + count). Refused where it leaves the head, does not begin at a
  /// multiple of 8 as all of HDF5's metadata here does, or meets what was given out before.
  HeadPiece take(std::uint64_t offset, std::uint64_t count, const char* what,
                 const std::string& path);
  /// The text that begins at `offset` and ends with a zero byte before `end`.
  std::string_view take_text(std::uint64_t offset, std::uint64_t end, const char* what,
                             const std::string& path);

  [[nodiscard]] std::uint64_t size() const noexcept { return bytes_.size(); }

 private:
  static constexpr std::uint64_t kUnit = 8;

  void check_inside(std::uint64_t offset, std::uint64_t count, const char* what,
                    const std::string& path) const;

  std::span<const std::byte> bytes_;
  std::vector<bool> taken_;  // of each `kUnit` bytes
};

}  // namespace cairn::storage
