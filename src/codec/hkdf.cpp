// SHA-256 by OpenSSL's old functions: the only ones whose state lies where the caller says.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "codec/hkdf.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "cairn/error.hpp"

namespace cairn::codec {
namespace {

using ConstBytes = std::span<const std::byte>;

constexpr std::size_t kHashBlock = 64;

struct Workspace {
  SHA256_CTX context;
  std::array<std::byte, kHashBlock> pad;
  Digest digest;

  void begin(ConstBytes key, std::byte mask) {
    pad.fill(std::byte{0});
    std::ranges::copy(key, pad.begin());
    for (std::byte& b : pad) b ^= mask;
    good(SHA256_Init(&context));
    add(pad);
  }
  void add(ConstBytes bytes) { good(SHA256_Update(&context, bytes.data(), bytes.size())); }
  void finish() {
    good(SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &context));
  }

 private:
  static void good(int result) {
    if (result != 1) throw Error(ErrorCode::io, "OpenSSL cannot compute SHA-256");
  }
};

/// Some implementations of SHA-256 leave words of the message in the stack that they used.
[[gnu::noinline]] void wipe_stack() noexcept {
  std::array<std::byte, std::size_t{4} << 10> below;  // NOLINT: to be overwritten
  OPENSSL_cleanse(below.data(), below.size());
}

/// Writes the HMAC to `out`, which takes its first bytes.
void hmac_into(std::span<std::byte> out, ConstBytes key,
               std::initializer_list<ConstBytes> parts) {
  if (key.size() > kHashBlock) {
    throw Error(ErrorCode::invalid_argument, "a key of more than 64 bytes for an HMAC");
  }
  static_cast<void>(Key::with_bytes(sizeof(Workspace), [&](std::span<std::byte> page) {
    auto& work = *new (page.data()) Workspace;
    work.begin(key, std::byte{0x36});
    for (const ConstBytes part : parts) work.add(part);
    work.finish();
    const Digest& inner = work.digest;
    work.begin(key, std::byte{0x5C});
    work.add(inner);
    work.finish();
    std::memcpy(out.data(), work.digest.data(), out.size());
    wipe_stack();
  }));
}

}  // namespace

Digest secret_hmac(ConstBytes key, std::initializer_list<ConstBytes> parts) {
  Digest mac{};
  hmac_into(mac, key, parts);
  return mac;
}

Key hkdf_extract(ConstBytes salt, ConstBytes secret) {
  return Key::with_bytes(std::tuple_size_v<Digest>, [&](std::span<std::byte> pseudorandom) {
    hmac_into(pseudorandom, salt, {secret});
  });
}

void hkdf_expand(const Key& pseudorandom, ConstBytes info, std::span<std::byte> out) {
  if (out.size() > std::tuple_size_v<Digest>) {
    throw Error(ErrorCode::invalid_argument, "a derived key of more than 32 bytes");
  }
  constexpr std::array kFirst{std::byte{1}};
  hmac_into(out, pseudorandom.bytes(), {info, kFirst});
}

}  // namespace cairn::codec
