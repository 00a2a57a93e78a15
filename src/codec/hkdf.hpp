#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>

#include "cairn/key.hpp"
#include "codec/sha256.hpp"

namespace cairn::codec {

// What is computed from a user's key itself. It works in a page like the key's own, which is in no
// core dump: OpenSSL's contexts for HMAC and HKDF copy keys to the heap while they work.

/// HMAC-SHA256 (RFC 2104) of the parts, one behind the other. `key` has at most 64 bytes.
Digest secret_hmac(std::span<const std::byte> key,
                   std::initializer_list<std::span<const std::byte>> parts);

/// HKDF-SHA256 (RFC 5869), first half: the pseudorandom key of `secret`.
Key hkdf_extract(std::span<const std::byte> salt, std::span<const std::byte> secret);
/// Second half: fills `out`, at most 32 bytes.
void hkdf_expand(const Key& pseudorandom, std::span<const std::byte> info,
                 std::span<std::byte> out);

}  // namespace cairn::codec
