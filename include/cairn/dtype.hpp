#pragma once

#include <complex>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "cairn/export.hpp"

namespace cairn {

/// The type of a tensor's elements. The numbers are part of the format.
enum class DType : std::uint8_t {
  float64,
  float32,
  float16,
  bfloat16,
  float8_e4m3,
  float8_e5m2,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  boolean,  ///< one byte, 0 or 1
  complex64,
  complex128,
};

/// How many values `DType` has; they count from 0.
inline constexpr std::uint8_t kDTypeCount = 17;

/// Local. Bytes of one element.
CAIRN_API std::size_t size_of(DType dtype) noexcept;

/// Local. The name as NumPy and PyTorch spell it: "float32", "bfloat16", "bool", "complex64", …
CAIRN_API std::string_view to_string(DType dtype) noexcept;

/// Local. The dtype of that name, or nothing.
CAIRN_API std::optional<DType> dtype_named(std::string_view name) noexcept;

/// Not part of the face.
namespace detail {
template <class T>
constexpr DType integer_dtype() {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (sizeof(T) == 1) return is_signed ? DType::int8 : DType::uint8;
  if constexpr (sizeof(T) == 2) return is_signed ? DType::int16 : DType::uint16;
  if constexpr (sizeof(T) == 4) return is_signed ? DType::int32 : DType::uint32;
  if constexpr (sizeof(T) == 8) return is_signed ? DType::int64 : DType::uint64;
}
}  // namespace detail

/// A C++ type that is an element as it stands. float16, bfloat16 and fp8 have none in C++20:
/// give their bits with an explicit `DType` (see `Source`).
template <class T>
concept Element = (std::integral<T> && sizeof(T) <= 8) || std::same_as<T, float> ||
                  std::same_as<T, double> || std::same_as<T, std::complex<float>> ||
                  std::same_as<T, std::complex<double>>;

/// Local. The dtype whose elements are `T`s: `dtype_of<float>()` is `DType::float32`.
template <Element T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, bool>) return DType::boolean;
  else if constexpr (std::integral<T>) return detail::integer_dtype<T>();
  else if constexpr (std::same_as<T, float>) return DType::float32;
  else if constexpr (std::same_as<T, double>) return DType::float64;
  else if constexpr (std::same_as<T, std::complex<float>>) return DType::complex64;
  else return DType::complex128;
}

}  // namespace cairn
