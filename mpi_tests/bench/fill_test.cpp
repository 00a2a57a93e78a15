#include "fill.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

// The expected bits were worked out by hand from bench/workloads/README.md; for i = 1 of the first
// tensor at step 0, x = 2654435761 = 0x9e3779b1.

namespace bench {
namespace {

using cairn::DType;
using Bytes = std::vector<std::byte>;

Bytes filled(const FillRule& rule, const cairn::Slice& slice) {
  Bytes bytes(cairn::element_count(slice.extent) * cairn::size_of(rule.dtype), std::byte{0xEE});
  fill(rule, slice, bytes.data());
  return bytes;
}

/// Element `index` of a one-dimensional tensor as a number of the element's width.
std::uint64_t bits_at(const FillRule& rule, std::uint64_t index) {
  const cairn::Slice slice{{index + 1}, {index}, {1}};
  const Bytes bytes = filled(rule, slice);
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes.data(), std::min(bytes.size(), sizeof(bits)));
  return bits;
}

TEST(Fill, IndexOneOfTheFirstTensorInEveryType) {
  EXPECT_EQ(bits_at({DType::float64, 0, 0}, 1), 0x3FE3C6EF20000000U);
  EXPECT_EQ(bits_at({DType::float32, 0, 0}, 1), 0x3F1E3779U);
  EXPECT_EQ(bits_at({DType::float16, 0, 0}, 1), 0x38F0U);   // 79 / 128
  EXPECT_EQ(bits_at({DType::bfloat16, 0, 0}, 1), 0x3F1EU);  // 79 / 128
  EXPECT_EQ(bits_at({DType::float8_e4m3, 0, 0}, 1), 0x4FU);
  EXPECT_EQ(bits_at({DType::float8_e5m2, 0, 0}, 1), 0x4FU);
  EXPECT_EQ(bits_at({DType::int8, 0, 0}, 1), 0x9EU);
  EXPECT_EQ(bits_at({DType::uint8, 0, 0}, 1), 0x9EU);
  EXPECT_EQ(bits_at({DType::int16, 0, 0}, 1), 0x9E37U);
  EXPECT_EQ(bits_at({DType::uint16, 0, 0}, 1), 0x9E37U);
  EXPECT_EQ(bits_at({DType::int32, 0, 0}, 1), 0x9E3779B1U);
  EXPECT_EQ(bits_at({DType::uint32, 0, 0}, 1), 0x9E3779B1U);
  EXPECT_EQ(bits_at({DType::int64, 0, 0}, 1), 0x9E3779B1U);
  EXPECT_EQ(bits_at({DType::uint64, 0, 0}, 1), 0x9E3779B1U);
  EXPECT_EQ(bits_at({DType::boolean, 0, 0}, 1), 1U);
  EXPECT_EQ(bits_at({DType::complex64, 0, 0}, 1), 0x3EC3910E'3F1E3779U);
}

TEST(Fill, ComplexOfDoublesHoldsOneMinusTheRealPart) {
  const Bytes bytes = filled({DType::complex128, 0, 0}, {{2}, {1}, {1}});
  double parts[2];
  std::memcpy(parts, bytes.data(), sizeof(parts));
  EXPECT_EQ(parts[0], 10368889.0 / 16777216.0);
  EXPECT_EQ(parts[1], 6408327.0 / 16777216.0);
}

TEST(Fill, ZeroIsZeroInEveryFloat) {
  EXPECT_EQ(bits_at({DType::float64, 0, 0}, 0), 0U);
  EXPECT_EQ(bits_at({DType::float32, 0, 0}, 0), 0U);
  EXPECT_EQ(bits_at({DType::float16, 0, 0}, 0), 0U);
  EXPECT_EQ(bits_at({DType::bfloat16, 0, 0}, 0), 0U);
  EXPECT_EQ(bits_at({DType::complex64, 0, 0}, 0), 0x3F800000'00000000U);
}

TEST(Fill, PlaceAndStepShiftTheValues) {
  EXPECT_EQ(bits_at({DType::uint64, 1, 0}, 0), 40503U);
  EXPECT_EQ(bits_at({DType::uint64, 0, 1}, 0), 7919U);
  EXPECT_EQ(bits_at({DType::uint64, 3, 2}, 0), 137347U);
  EXPECT_EQ(bits_at({DType::uint64, 3, 2}, 1), 2654573108U);
}

TEST(Fill, EverythingIsModulo32Bits) {
  EXPECT_EQ(bits_at({DType::uint64, 0, 0}, 2), 1013904226U);  // 5308871522 - 2^32
  EXPECT_EQ(bits_at({DType::uint64, 0, 0}, 4294967297), 2654435761U);
  EXPECT_EQ(bits_at({DType::uint8, 0, 0}, 4294967297), 0x9EU);
  // 7919 * 1000000 = 7919000000 = 2^32 + 3624032704
  EXPECT_EQ(bits_at({DType::uint64, 0, 1000000}, 0), 3624032704U);
}

TEST(Fill, HalvesOfAllCoarseValuesAreExact) {
  // 1/128, 2/128, 3/128, 64/128, 127/128
  const auto half_with_top_bits = [](std::uint64_t v) {
    // A place p with (p * 40503 mod 2^32) >> 25 == v, found by walking.
    std::uint64_t place = 0;
    while ((place * 40503 % 4294967296) >> 25 != v) ++place;
    return bits_at({DType::float16, place, 0}, 0);
  };
  EXPECT_EQ(half_with_top_bits(1), 0x2000U);
  EXPECT_EQ(half_with_top_bits(2), 0x2400U);
  EXPECT_EQ(half_with_top_bits(3), 0x2600U);
  EXPECT_EQ(half_with_top_bits(64), 0x3800U);
  EXPECT_EQ(half_with_top_bits(127), 0x3BF0U);
}

/// Every box of a small tensor holds what the whole tensor holds there.
void expect_box_of_whole(const cairn::Slice& slice) {
  const FillRule rule{DType::uint32, 5, 6};
  const Bytes whole = filled(rule, cairn::whole(slice.global));
  const Bytes box = filled(rule, slice);
  const cairn::Shape& n = slice.global;
  std::size_t local = 0;
  for (std::uint64_t i = 0; i < slice.extent[0]; ++i) {
    for (std::uint64_t j = 0; j < slice.extent[1]; ++j) {
      for (std::uint64_t k = 0; k < slice.extent[2]; ++k, ++local) {
        const std::uint64_t global =
            ((slice.offset[0] + i) * n[1] + slice.offset[1] + j) * n[2] + slice.offset[2] + k;
        EXPECT_EQ(std::memcmp(&box[local * 4], &whole[global * 4], 4), 0) << "element " << local;
      }
    }
  }
  EXPECT_FALSE(find_difference(rule, slice, box.data()));
}

TEST(Fill, ABoxHoldsTheValuesOfItsPlace) {
  expect_box_of_whole({{4, 5, 6}, {0, 0, 0}, {4, 5, 6}});
  expect_box_of_whole({{4, 5, 6}, {1, 0, 0}, {2, 5, 6}});
  expect_box_of_whole({{4, 5, 6}, {0, 1, 0}, {4, 3, 6}});
  expect_box_of_whole({{4, 5, 6}, {0, 0, 2}, {4, 5, 3}});
  expect_box_of_whole({{4, 5, 6}, {3, 4, 5}, {1, 1, 1}});
  expect_box_of_whole({{4, 5, 6}, {1, 2, 3}, {2, 3, 2}});
  expect_box_of_whole({{4, 1, 6}, {1, 0, 0}, {2, 1, 5}});
}

TEST(Fill, AnEmptyBoxTouchesNothing) {
  const cairn::Slice slice{{4, 5}, {2, 0}, {0, 5}};
  fill({DType::float32, 0, 0}, slice, nullptr);
  EXPECT_FALSE(find_difference({DType::float32, 0, 0}, slice, nullptr));
}

TEST(Fill, AScalarHasIndexZero) {
  const Bytes bytes = filled({DType::uint16, 2, 0}, cairn::whole({}));
  ASSERT_EQ(bytes.size(), 2U);
  EXPECT_EQ(std::to_integer<int>(bytes[0]), 1);  // 81006 >> 16
  EXPECT_EQ(std::to_integer<int>(bytes[1]), 0);
}

class FillOfAllTypes : public ::testing::TestWithParam<int> {};

TEST_P(FillOfAllTypes, OneFlippedBitIsFoundWithItsGlobalIndex) {
  const FillRule rule{static_cast<DType>(GetParam()), 7, 8};
  const std::size_t size = cairn::size_of(rule.dtype);
  // Columns 1 to 5001 of 3 rows: runs longer than what is compared at a time.
  const cairn::Slice slice{{3, 5003}, {0, 1}, {3, 5000}};
  Bytes bytes = filled(rule, slice);
  EXPECT_FALSE(find_difference(rule, slice, bytes.data()));
  for (const std::uint64_t element : {0U, 4095U, 4096U, 5000U, 14999U}) {
    const std::byte before = bytes[element * size + size - 1];
    bytes[element * size + size - 1] ^= std::byte{0x01};
    const auto difference = find_difference(rule, slice, bytes.data());
    ASSERT_TRUE(difference);
    EXPECT_EQ(difference->index, element / 5000 * 5003 + 1 + element % 5000);
    EXPECT_EQ(difference->expected[size - 1], before);
    EXPECT_EQ(difference->actual[size - 1], before ^ std::byte{0x01});
    bytes[element * size + size - 1] = before;
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, FillOfAllTypes, ::testing::Range(0, int{cairn::kDTypeCount}),
                         [](const auto& test) {
                           return std::string(cairn::to_string(static_cast<DType>(test.param)));
                         });

TEST(ElementText, ShowsBitsAndValue) {
  ElementBits bits{};
  const float half = 0.5F;
  std::memcpy(bits.data(), &half, sizeof(half));
  EXPECT_EQ(element_text(DType::float32, bits), "0x3f000000 (0.5)");
  EXPECT_EQ(element_text(DType::bfloat16, bits), "0x0000");
  bits = {std::byte{0xFF}};
  EXPECT_EQ(element_text(DType::int8, bits), "0xff (-1)");
}

}  // namespace
}  // namespace bench
