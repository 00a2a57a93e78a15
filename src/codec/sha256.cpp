#include "codec/sha256.hpp"

#include <openssl/evp.h>

#include "cairn/error.hpp"

namespace cairn::codec {

Digest sha256(std::span<const std::byte> bytes) {
  Digest digest{};
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                 &length, EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorCode::invalid_argument, "OpenSSL refused to compute SHA-256");
  }
  return digest;
}

}  // namespace cairn::codec
