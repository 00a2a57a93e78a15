#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cairn/dtype.hpp"

namespace cairn {

/// Whether values of one type may become values of the other: floats among floats, integers among
/// integers. A type converts to itself.
bool is_convertible(DType from, DType to) noexcept;

/// Converts `count` elements, rounding floats to the nearest, ties to even. Neither side needs to be
/// aligned. Returns the place of the first element that `to` cannot hold, if there is one: such
/// floats become infinite (NaN in float8_e4m3, which has no infinity), such integers wrap.
std::optional<std::uint64_t> convert(DType from, const std::byte* in, DType to, std::byte* out,
                                     std::uint64_t count);

}  // namespace cairn
