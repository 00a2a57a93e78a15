#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::codec {

/// Bob Jenkins' lookup3 ("hashlittle", initial value 0): the checksum in HDF5's metadata.
std::uint32_t lookup3(std::span<const std::byte> bytes) noexcept;

}  // namespace cairn::codec
