#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cairn/key.hpp"
#include "codec/fetch.hpp"
#include "codec/sha256.hpp"
#include "codec/wide_gcm.hpp"

namespace cairn::codec {

inline constexpr std::size_t kFileIdBytes = 32;
/// Random, new for every file and every attempt to write one: two blocks are never encrypted alike.
using FileId = std::array<std::byte, kFileIdBytes>;

inline constexpr std::size_t kMacBytes = 32;
using Mac = std::array<std::byte, kMacBytes>;

/// What the cipher works on: sealed blocks are multiples of it.
inline constexpr std::size_t kCipherBlock = 16;

/// Bytes of a block's tag.
std::size_t tag_bytes(EncMode mode) noexcept;

/// Throws `invalid_argument`, naming the setting but not the key, unless `mode` takes its length.
void check_key(const Key& key, EncMode mode);

/// Compares in a time that does not depend on the bytes.
bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) noexcept;

/// What tells two keys apart and says nothing about either.
Digest fingerprint(const Key& key);

/// By what AES-GCM is computed: whatever is fastest here, or OpenSSL.
enum class GcmBy : bool { fastest, openssl };

/// Seals and opens the blocks of one file with keys of its own, as docs/format.md tells in "Keys,
/// blocks and tags". Usable by several threads at once.
class Seal {
 public:
  /// Derives the file's keys. Throws `invalid_argument` for a key that `mode` does not take.
  Seal(const Key& key, EncMode mode, const FileId& id, GcmBy by = GcmBy::fastest);

  [[nodiscard]] EncMode mode() const noexcept { return mode_; }
  [[nodiscard]] Mac header_mac(std::span<const std::byte> header) const;
  [[nodiscard]] Mac table_mac(const Digest& header, std::span<const std::byte> tags) const;

  /// Encrypts into `bytes`, a multiple of `kCipherBlock`, what is in them or what `fetch` gives.
  /// `header` is the digest of the file's header, `tag` has `tag_bytes(mode())`.
  void seal(std::uint64_t number, const Digest& header, std::span<std::byte> bytes,
            std::span<std::byte> tag, const Fetch& fetch = {}) const;
  /// Decrypts in place. False: not what was sealed in this place of this file; the bytes are of no
  /// use then.
  [[nodiscard]] bool open(std::uint64_t number, const Digest& header, std::span<std::byte> bytes,
                          std::span<const std::byte> tag) const;

 private:
  using Iv = std::array<std::byte, kCipherBlock>;

  [[nodiscard]] std::span<const std::byte> block_key() const { return part(0, key_bytes_); }
  [[nodiscard]] std::span<const std::byte> iv_key() const { return part(key_bytes_, key_bytes_); }
  /// The n-th of the keys for MACs.
  [[nodiscard]] std::span<const std::byte> mac_key(std::size_t n) const {
    return part(2 * key_bytes_ + n * kMacBytes, kMacBytes);
  }
  [[nodiscard]] std::span<const std::byte> part(std::size_t at, std::size_t count) const {
    return keys_.bytes().subspan(at, count);
  }
  [[nodiscard]] Iv iv_of(std::uint64_t number) const;
  void gcm_seal(std::span<const std::byte> nonce, std::span<const std::byte> context,
                std::span<std::byte> bytes, std::span<std::byte> tag, const Fetch& fetch) const;
  [[nodiscard]] bool gcm_open(std::span<const std::byte> nonce, std::span<const std::byte> context,
                              std::span<std::byte> bytes, std::span<const std::byte> tag) const;
  [[nodiscard]] Mac cbc_tag(std::uint64_t number, const Digest& header, const Iv& iv,
                            std::span<const std::byte> sealed) const;

  EncMode mode_;
  std::size_t key_bytes_;
  Key keys_;  ///< of the file, one behind the other: block, iv, mac, header, table
  std::optional<WideGcm> wide_;  ///< for AES-GCM, where it is there
};

}  // namespace cairn::codec
