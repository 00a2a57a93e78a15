#include "codec/crc32.hpp"

#include <zlib.h>

#if defined(CAIRN_HAVE_ISAL)
#include <isa-l/crc.h>
#elif defined(CAIRN_HAVE_LIBDEFLATE)
#include <libdeflate.h>
#endif

namespace cairn::codec {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  if (bytes.empty()) return crc;  // where there may be no address, which zlib takes for a reset
#if defined(CAIRN_HAVE_ISAL)
  return ::crc32_gzip_refl(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
#elif defined(CAIRN_HAVE_LIBDEFLATE)
  return ::libdeflate_crc32(crc, bytes.data(), bytes.size());
#else
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
#endif
}

std::uint32_t combine_crc32(std::uint32_t first, std::uint32_t second,
                            std::uint64_t second_bytes) noexcept {
  return static_cast<std::uint32_t>(
      ::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

}  // namespace cairn::codec
