#include "codec/crc32.hpp"

#include <zlib.h>

namespace cairn::codec {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace cairn::codec
