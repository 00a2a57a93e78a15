#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>

namespace cairn::codec {

/// Where the bytes to encrypt come from: returns those that belong into `part`, which begins at
/// byte `at` of the block: others, or `part` itself when they are in it.
using Fetch = std::function<std::span<const std::byte>(std::size_t at, std::span<std::byte> part)>;

/// Calls `encrypt(from, to)` for all of `bytes`: part by part where they are fetched, so that what is
/// put into a part is still in the cache when it is encrypted.
template <class Encrypt>
void encrypt_parts(std::span<std::byte> bytes, const Fetch& fetch, Encrypt&& encrypt) {
  constexpr std::size_t kCachedBytes = std::size_t{128} << 10;  // a multiple of any cipher's block
  if (!fetch) {
    encrypt(std::span<const std::byte>(bytes), bytes);
    return;
  }
  for (std::size_t at = 0; at < bytes.size(); at += kCachedBytes) {
    const auto part = bytes.subspan(at, std::min(kCachedBytes, bytes.size() - at));
    encrypt(fetch(at, part), part);
  }
}

}  // namespace cairn::codec
