#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "cairn/export.hpp"

namespace cairn {

/// How a checkpoint is encrypted.
enum class EncMode : std::uint8_t {
  aes_gcm = 1,  ///< AES in Galois/counter mode; authenticated by itself, and by far the fastest
  aes_cbc = 2,  ///< AES in cipher block chaining, then HMAC-SHA256
  sm4_cbc = 3,  ///< SM4 in cipher block chaining, then HMAC-SHA256; slow
};

/// Local. As it is written in settings: "AES-GCM", "AES-CBC", "SM4-CBC".
CAIRN_API std::string_view to_string(EncMode mode) noexcept;
/// Local. The mode of that name. Throws `invalid_argument`, which lists the names.
CAIRN_API EncMode enc_mode_named(std::string_view name);

/// The bytes of a key, or none. They lie in a page of their own, which is kept out of core dumps
/// and, where the system allows, out of swap, and are wiped when the last copy goes. Copies share it.
/// Nothing prints a key. The buffers that keys are made from are the caller's to wipe.
class CAIRN_API Key {
 public:
  /// No key.
  Key() noexcept = default;
  /// Local. A copy of `bytes`, at most 4096; empty: no key. What length a mode takes, is checked
  /// where both come together. Throws `invalid_argument` or `io`.
  explicit Key(std::span<const std::byte> bytes);
  /// Local. From hexadecimal digits, with blanks and line ends before and after allowed. Throws
  /// `invalid_argument` without quoting them.
  static Key from_hex(std::string_view digits);
  /// Local. Of `count` bytes, at most 4096, that `fill` writes: they lie nowhere else.
  static Key with_bytes(std::size_t count, const std::function<void(std::span<std::byte>)>& fill);

  /// Whether there is none.
  [[nodiscard]] bool empty() const noexcept { return page_ == nullptr; }
  /// Valid while a copy of this key lives.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
  /// Whether both have the same bytes; takes as long whatever they are.
  friend CAIRN_API bool operator==(const Key& a, const Key& b) noexcept;

 private:
  class Page;
  std::shared_ptr<Page> page_;
};

/// Local. The key in a file of hexadecimal digits, as `openssl rand -hex 32` prints them. Throws
/// `not_found`, `io` or `invalid_argument`.
CAIRN_API Key read_key_file(const std::filesystem::path& path);

}  // namespace cairn
