#include "codec/random.hpp"

#include <openssl/rand.h>

#include "cairn/error.hpp"

namespace cairn::codec {

void fill_random(std::span<std::byte> bytes) {
  auto* data = reinterpret_cast<unsigned char*>(bytes.data());
  if (RAND_bytes(data, static_cast<int>(bytes.size())) != 1) {
    throw Error(ErrorCode::io, "OpenSSL's random generator failed");
  }
}

}  // namespace cairn::codec
