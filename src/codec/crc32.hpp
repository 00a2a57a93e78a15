#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::codec {

/// CRC-32 with zlib's polynomial, continued from `crc` (0 to begin). By the fastest library that was
/// there when Cairn was configured: ISA-L, libdeflate, or zlib itself.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

/// The CRC of `first` bytes followed by `second_bytes` others, from the CRCs of both.
std::uint32_t combine_crc32(std::uint32_t first, std::uint32_t second,
                            std::uint64_t second_bytes) noexcept;

}  // namespace cairn::codec
