#include "base/convert.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace cairn {
namespace {

/// A float type smaller than float32: sign, exponent, mantissa.
template <int exponent_bits, int mantissa_bits, int bias, bool has_infinity, class BitsType>
struct SmallFloat {
  using Bits = BitsType;
  static constexpr int kMantissa = mantissa_bits;
  static constexpr unsigned kSign = 1U << (exponent_bits + mantissa_bits);
  static constexpr unsigned kInfinity = ((1U << exponent_bits) - 1) << mantissa_bits;
  static constexpr unsigned kNaN = has_infinity ? kInfinity | 1U << (mantissa_bits - 1) : kSign - 1;
  static constexpr unsigned kLargest = has_infinity ? kInfinity - 1 : kSign - 2;
  static constexpr unsigned kTooLarge = has_infinity ? kInfinity : kNaN;

  static double decode(Bits raw) {
    const unsigned magnitude = raw & (kSign - 1);
    const double sign = (raw & kSign) != 0 ? -1.0 : 1.0;
    if (magnitude > kLargest) {
      if (has_infinity && magnitude == kInfinity) return sign * INFINITY;
      return std::numeric_limits<double>::quiet_NaN();
    }
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const unsigned fraction = magnitude & ((1U << mantissa_bits) - 1);
    if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - mantissa_bits);
    return sign * std::ldexp(fraction + (1U << mantissa_bits), exponent - bias - mantissa_bits);
  }

  static Bits encode(double value, bool& fits) {
    const unsigned sign = std::signbit(value) ? kSign : 0;
    const double magnitude = std::fabs(value);
    if (std::isnan(value)) return static_cast<Bits>(sign | kNaN);
    if (std::isinf(value)) {
      fits = fits && has_infinity;
      return static_cast<Bits>(sign | kTooLarge);
    }
    // Below the normal numbers all steps are as wide as at the smallest of them.
    const int exponent = magnitude == 0 ? 1 - bias : std::max(std::ilogb(magnitude), 1 - bias);
    if (exponent > 1 + bias) {
      fits = false;
      return static_cast<Bits>(sign | kTooLarge);
    }
    const auto steps =
        static_cast<unsigned>(std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent)));
    // A carry out of the mantissa goes into the exponent, which is what rounding up means.
    const unsigned code = steps + (static_cast<unsigned>(exponent + bias - 1) << mantissa_bits);
    if (code > kLargest) {
      fits = false;
      return static_cast<Bits>(sign | kTooLarge);
    }
    return static_cast<Bits>(sign | code);
  }
};

template <class T>
struct NativeFloat {
  using Bits = T;
  static double decode(T value) { return value; }
  static T encode(double value, bool& fits) {
    const T narrow = static_cast<T>(value);
    fits = fits && (std::isinf(narrow) == std::isinf(value));
    return narrow;
  }
};

template <class Visit>
auto with_float(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::float64: return visit(NativeFloat<double>{});
    case DType::float32: return visit(NativeFloat<float>{});
    case DType::float16: return visit(SmallFloat<5, 10, 15, true, std::uint16_t>{});
    case DType::bfloat16: return visit(SmallFloat<8, 7, 127, true, std::uint16_t>{});
    case DType::float8_e4m3: return visit(SmallFloat<4, 3, 7, false, std::uint8_t>{});
    default: return visit(SmallFloat<5, 2, 15, true, std::uint8_t>{});
  }
}

template <class Visit>
auto with_integer(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::int8: return visit(std::int8_t{});
    case DType::uint8: return visit(std::uint8_t{});
    case DType::int16: return visit(std::int16_t{});
    case DType::uint16: return visit(std::uint16_t{});
    case DType::int32: return visit(std::int32_t{});
    case DType::uint32: return visit(std::uint32_t{});
    case DType::int64: return visit(std::int64_t{});
    default: return visit(std::uint64_t{});
  }
}

bool is_float(DType dtype) { return dtype <= DType::float8_e5m2; }
bool is_integer(DType dtype) { return dtype >= DType::int8 && dtype <= DType::uint64; }

/// Applies `to_target(value, fits)` to every element.
template <class From, class To, class Element>
std::optional<std::uint64_t> each(const std::byte* in, std::byte* out, std::uint64_t count,
                                  Element&& to_target) {
  std::optional<std::uint64_t> first_misfit;
  for (std::uint64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, in + i * sizeof value, sizeof value);
    bool fits = true;
    const To converted = to_target(value, fits);
    std::memcpy(out + i * sizeof converted, &converted, sizeof converted);
    if (!fits && !first_misfit) first_misfit = i;
  }
  return first_misfit;
}

}  // namespace

bool is_convertible(DType from, DType to) noexcept {
  return from == to || (is_float(from) && is_float(to)) || (is_integer(from) && is_integer(to));
}

std::optional<std::uint64_t> convert(DType from, const std::byte* in, DType to, std::byte* out,
                                     std::uint64_t count) {
  if (from == to) {
    std::memcpy(out, in, count * size_of(to));
    return std::nullopt;
  }
  if (is_integer(from)) {
    return with_integer(from, [&](auto source) {
      return with_integer(to, [&](auto target) {
        using From = decltype(source);
        using To = decltype(target);
        return each<From, To>(in, out, count, [](From value, bool& fits) {
          fits = std::in_range<To>(value);
          return static_cast<To>(value);
        });
      });
    });
  }
  return with_float(from, [&](auto source) {
    return with_float(to, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      return each<typename From::Bits, typename To::Bits>(
          in, out, count, [](typename From::Bits value, bool& fits) {
            return To::encode(From::decode(value), fits);
          });
    });
  });
}

}  // namespace cairn
