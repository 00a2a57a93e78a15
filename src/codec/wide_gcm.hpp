#pragma once

#include <cstddef>
#include <span>

#include "cairn/key.hpp"
#include "codec/fetch.hpp"

namespace cairn::codec {

/// AES-GCM with instructions that encrypt four blocks each (VAES in AVX-512), by libIPSec_MB: several
/// times as fast as OpenSSL 3.0. Usable by several threads at once.
class WideGcm {
 public:
  static constexpr std::size_t kNonceBytes = 12;
  static constexpr std::size_t kTagBytes = 16;
  /// What a block is sealed with, beside the key.
  struct Place {
    std::span<const std::byte, kNonceBytes> nonce;
    std::span<const std::byte> authenticated;  ///< and not encrypted
  };

  /// Whether this build has the library and this processor the instructions.
  static bool is_there() noexcept;

  /// Only where it `is_there`. `key` has 16, 24 or 32 bytes; what is expanded of it lies in a page
  /// like its own.
  explicit WideGcm(std::span<const std::byte> key);

  /// Encrypts into `bytes` what is in them or what `fetch` gives. `tag` has kTagBytes.
  void seal(const Place& place, std::span<std::byte> bytes, std::span<std::byte> tag,
            const Fetch& fetch) const;
  /// Decrypts in place. False: `tag` is another; the bytes are of no use then.
  [[nodiscard]] bool open(const Place& place, std::span<std::byte> bytes,
                          std::span<const std::byte> tag) const;

 private:
  [[maybe_unused]] std::size_t key_bytes_;
  Key schedule_;  ///< none where it is not there
};

}  // namespace cairn::codec
