#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::codec {

/// CRC-32 with zlib's polynomial, continued from `crc` (0 to begin).
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

}  // namespace cairn::codec
