#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cairn/dtype.hpp"

namespace cairn::storage {

/// The dtype whose type HDF5 describes by exactly these bytes (a datatype message), or nothing.
std::optional<DType> dtype_of_message(std::span<const std::byte> message);

/// The bytes of the text whose type HDF5 describes by exactly these bytes, or nothing.
std::optional<std::uint32_t> text_of_message(std::span<const std::byte> message);

}  // namespace cairn::storage
