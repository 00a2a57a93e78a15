#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::storage {

/// The fields of a float: a sign bit above the exponent above the mantissa, without gaps, and an
/// implied leading 1.
struct FloatFields {
  std::uint8_t bytes;
  std::uint8_t exponent_bits;
  std::uint8_t mantissa_bits;
  std::uint16_t bias;
};

inline constexpr FloatFields kFloat64{8, 11, 52, 1023};
inline constexpr FloatFields kFloat32{4, 8, 23, 127};
inline constexpr FloatFields kFloat16{2, 5, 10, 15};
inline constexpr FloatFields kBfloat16{2, 8, 7, 127};
inline constexpr FloatFields kFloat8E4m3{1, 4, 3, 7};
inline constexpr FloatFields kFloat8E5m2{1, 5, 2, 15};

}  // namespace cairn::storage
