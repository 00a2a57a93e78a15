// Conversions among floats and among integers. Bits are typed by hand from the types' definitions.
#include "base/convert.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace cairn {
namespace {

template <class To, class From>
std::pair<To, bool> one(DType from, From value, DType to) {
  To result{};
  const auto misfit = convert(from, reinterpret_cast<const std::byte*>(&value), to,
                              reinterpret_cast<std::byte*>(&result), 1);
  return {result, !misfit.has_value()};
}

std::uint16_t half(float value) {
  return one<std::uint16_t>(DType::float32, value, DType::float16).first;
}
std::uint16_t brain(float value) {
  return one<std::uint16_t>(DType::float32, value, DType::bfloat16).first;
}
std::uint8_t e4m3(float value) {
  return one<std::uint8_t>(DType::float32, value, DType::float8_e4m3).first;
}
std::uint8_t e5m2(float value) {
  return one<std::uint8_t>(DType::float32, value, DType::float8_e5m2).first;
}

TEST(Convert, FloatsAmongFloatsAndIntegersAmongIntegersOnly) {
  EXPECT_TRUE(is_convertible(DType::float64, DType::float8_e5m2));
  EXPECT_TRUE(is_convertible(DType::int8, DType::uint64));
  EXPECT_TRUE(is_convertible(DType::boolean, DType::boolean));
  EXPECT_FALSE(is_convertible(DType::float32, DType::int32));
  EXPECT_FALSE(is_convertible(DType::boolean, DType::uint8));
  EXPECT_FALSE(is_convertible(DType::complex64, DType::complex128));
  EXPECT_FALSE(is_convertible(DType::complex64, DType::float32));
}

TEST(Convert, KnownBits) {
  EXPECT_EQ(half(1.0F), 0x3C00);
  EXPECT_EQ(half(-2.0F), 0xC000);
  EXPECT_EQ(half(65504.0F), 0x7BFF);
  EXPECT_EQ(half(5.9604645e-8F), 0x0001);  // the smallest subnormal
  EXPECT_EQ(half(6.1035156e-5F), 0x0400);  // the smallest normal
  EXPECT_EQ(half(0.0F), 0x0000);
  EXPECT_EQ(half(-0.0F), 0x8000);
  EXPECT_EQ(brain(1.0F), 0x3F80);
  EXPECT_EQ(brain(3.140625F), 0x4049);
  EXPECT_EQ(e4m3(1.0F), 0x38);
  EXPECT_EQ(e4m3(448.0F), 0x7E);
  EXPECT_EQ(e4m3(0.001953125F), 0x01);
  EXPECT_EQ(e5m2(1.0F), 0x3C);
  EXPECT_EQ(e5m2(57344.0F), 0x7B);
}

TEST(Convert, RoundsToTheNearestTiesToEven) {
  EXPECT_EQ(brain(1.00390625F), 0x3F80);            // 1 + 2^-8: halfway, down to even
  EXPECT_EQ(brain(1.01171875F), 0x3F82);            // 1 + 3 * 2^-8: halfway, up to even
  EXPECT_EQ(brain(1.00390625F + 0.0001F), 0x3F81);  // past the half
  EXPECT_EQ(half(65519.0F), 0x7BFF);                // just below what rounds to infinity
  EXPECT_EQ(e4m3(17.0F), 0x58);                     // halfway between 16 and 18
  EXPECT_EQ(e4m3(19.0F), 0x5A);                     // halfway between 18 and 20, up to even
}

TEST(Convert, WhatDoesNotFitIsToldAndBecomesInfiniteOrNaN) {
  EXPECT_EQ((one<std::uint16_t>(DType::float32, 65520.0F, DType::float16)),
            (std::pair<std::uint16_t, bool>{0x7C00, false}));
  EXPECT_EQ((one<std::uint8_t>(DType::float32, -1000.0F, DType::float8_e4m3)),
            (std::pair<std::uint8_t, bool>{0xFF, false}));
  EXPECT_EQ((one<std::uint8_t>(DType::float32, 1e9F, DType::float8_e5m2)),
            (std::pair<std::uint8_t, bool>{0x7C, false}));
  const auto [narrow, fits] = one<float>(DType::float64, 1e300, DType::float32);
  EXPECT_TRUE(std::isinf(narrow));
  EXPECT_FALSE(fits);
}

TEST(Convert, InfinityAndNaNStayWhatTheyAre) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ((one<std::uint16_t>(DType::float32, -infinity, DType::float16)),
            (std::pair<std::uint16_t, bool>{0xFC00, true}));
  EXPECT_EQ(e4m3(std::numeric_limits<float>::quiet_NaN()) & 0x7F, 0x7F);
  const auto [wide, fits] =
      one<float>(DType::float16, std::uint16_t{0x7C00}, DType::float32);
  EXPECT_EQ(wide, infinity);
  EXPECT_TRUE(fits);
}

TEST(Convert, EveryNarrowFloatComesBackWithItsBits) {
  for (const DType small : {DType::float16, DType::bfloat16}) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
      const auto [wide, fits] = one<double>(small, static_cast<std::uint16_t>(bits), DType::float64);
      if (std::isnan(wide)) continue;
      EXPECT_TRUE(fits);
      ASSERT_EQ((one<std::uint16_t>(DType::float64, wide, small)),
                (std::pair{static_cast<std::uint16_t>(bits), true}));
    }
  }
  for (const DType small : {DType::float8_e4m3, DType::float8_e5m2}) {
    for (std::uint32_t bits = 0; bits <= 0xFF; ++bits) {
      const auto [wide, fits] = one<float>(small, static_cast<std::uint8_t>(bits), DType::float32);
      if (std::isnan(wide)) continue;
      EXPECT_TRUE(fits);
      ASSERT_EQ((one<std::uint8_t>(DType::float32, wide, small)),
                (std::pair{static_cast<std::uint8_t>(bits), true}));
    }
  }
}

TEST(Convert, IntegersKeepTheirValueOrWrapAndSaySo) {
  EXPECT_EQ((one<std::int64_t>(DType::int8, std::int8_t{-5}, DType::int64)),
            (std::pair<std::int64_t, bool>{-5, true}));
  EXPECT_EQ((one<std::uint8_t>(DType::int32, 255, DType::uint8)),
            (std::pair<std::uint8_t, bool>{255, true}));
  EXPECT_EQ((one<std::uint8_t>(DType::int32, 256, DType::uint8)),
            (std::pair<std::uint8_t, bool>{0, false}));
  EXPECT_EQ((one<std::uint64_t>(DType::int8, std::int8_t{-1}, DType::uint64)),
            (std::pair<std::uint64_t, bool>{~0ULL, false}));
  EXPECT_FALSE((one<std::int64_t>(DType::uint64, ~0ULL, DType::int64).second));
}

TEST(Convert, TheFirstMisfitIsNamed) {
  const std::vector<std::int32_t> values{1, 2, 300, 400};
  std::vector<std::int8_t> narrow(4);
  EXPECT_EQ(convert(DType::int32, reinterpret_cast<const std::byte*>(values.data()), DType::int8,
                    reinterpret_cast<std::byte*>(narrow.data()), 4),
            2U);
}

}  // namespace
}  // namespace cairn
