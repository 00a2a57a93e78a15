// Each dtype has one HDF5 type (docs/format.md), and HDF5 one description of it in its earliest
// format. So nothing is taken apart: a message is compared with those of all dtypes.
#include "storage/head_types.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <string_view>
#include <vector>

#include "storage/float_fields.hpp"
#include "storage/little_endian.hpp"

namespace cairn::storage {
namespace {

using Message = std::vector<std::byte>;

// The class, with the version 1 in the upper half byte.
constexpr std::uint8_t kInteger = 0x10;
constexpr std::uint8_t kFloat = 0x11;
constexpr std::uint8_t kText = 0x13;
constexpr std::uint8_t kCompound = 0x16;
constexpr std::uint8_t kEnumeration = 0x18;

constexpr std::uint8_t kSigned = 0x08;
constexpr std::uint8_t kImpliedOne = 0x20;
constexpr std::size_t kPadding = 8;

class Encoder {
 public:
  template <std::integral T>
  Encoder& number(T value) {
    bytes_.resize(bytes_.size() + sizeof(T));
    store_little_endian(std::span(bytes_).last(sizeof(T)), value);
    return *this;
  }
  /// With at least one zero byte behind it, up to a multiple of 8.
  Encoder& name(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return zeros(kPadding - text.size() % kPadding);
  }
  Encoder& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Encoder& append(const Message& inner) {
    bytes_.insert(bytes_.end(), inner.begin(), inner.end());
    return *this;
  }
  /// What every description begins with.
  Encoder& begin(std::uint8_t type_class, std::uint8_t bits, std::uint16_t more_bits,
                 std::size_t bytes) {
    return number(type_class)
        .number(bits)
        .number(more_bits)
        .number(static_cast<std::uint32_t>(bytes));
  }
  Message done() { return std::move(bytes_); }

 private:
  Message bytes_;
};

Message integer(std::uint8_t sign, std::size_t bytes) {
  constexpr std::uint16_t kFirstBit = 0;
  const auto bits = static_cast<std::uint16_t>(8 * bytes);
  return Encoder().begin(kInteger, sign, 0, bytes).number(kFirstBit).number(bits).done();
}

Message floating(const FloatFields& f) {
  constexpr std::uint16_t kFirstBit = 0;
  constexpr std::uint8_t kMantissaAt = 0;
  const auto bits = static_cast<std::uint16_t>(8 * f.bytes);
  const auto sign_at = static_cast<std::uint8_t>(f.mantissa_bits + f.exponent_bits);
  Encoder encoder;
  encoder.begin(kFloat, kImpliedOne, sign_at, f.bytes).number(kFirstBit).number(bits);
  encoder.number(f.mantissa_bits).number(f.exponent_bits);
  encoder.number(kMantissaAt).number(f.mantissa_bits);
  return encoder.number(std::uint32_t{f.bias}).done();
}

Message boolean() {
  Encoder encoder;
  encoder.begin(kEnumeration, 2, 0, 1).append(integer(kSigned, 1));
  return encoder.name("FALSE").name("TRUE").number(std::int8_t{0}).number(std::int8_t{1}).done();
}

Message complex(const FloatFields& part) {
  constexpr std::size_t kNoDimensions = 28;  // a member may be an array: zeros where it is none
  const Message member = floating(part);
  Encoder encoder;
  encoder.begin(kCompound, 2, 0, 2 * std::size_t{part.bytes});
  encoder.name("r").number(std::uint32_t{0}).zeros(kNoDimensions).append(member);
  encoder.name("i").number(std::uint32_t{part.bytes}).zeros(kNoDimensions).append(member);
  return encoder.done();
}

Message describe(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return floating(kFloat64);
    case DType::float32:
      return floating(kFloat32);
    case DType::float16:
      return floating(kFloat16);
    case DType::bfloat16:
      return floating(kBfloat16);
    case DType::float8_e4m3:
      return floating(kFloat8E4m3);
    case DType::float8_e5m2:
      return floating(kFloat8E5m2);
    case DType::int8:
    case DType::int16:
    case DType::int32:
    case DType::int64:
      return integer(kSigned, size_of(dtype));
    case DType::uint8:
    case DType::uint16:
    case DType::uint32:
    case DType::uint64:
      return integer(0, size_of(dtype));
    case DType::boolean:
      return boolean();
    case DType::complex64:
      return complex(kFloat32);
    case DType::complex128:
      return complex(kFloat64);
  }
  return {};
}

/// Of each dtype, filled up as messages are.
std::array<Message, kDTypeCount> describe_all() {
  std::array<Message, kDTypeCount> all;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = describe(static_cast<DType>(i));
    all[i].resize((all[i].size() + kPadding - 1) / kPadding * kPadding);
  }
  return all;
}

}  // namespace

std::optional<DType> dtype_of_message(std::span<const std::byte> message) {
  static const auto all = describe_all();
  const auto found = std::ranges::find_if(
      all, [&](const Message& known) { return std::ranges::equal(message, known); });
  if (found == all.end()) return std::nullopt;
  return static_cast<DType>(found - all.begin());
}

std::optional<std::uint32_t> text_of_message(std::span<const std::byte> message) {
  constexpr std::size_t kSizeAt = 4;
  constexpr std::uint8_t kZeroFilledUtf8 = 0x11;
  if (message.size() != 2 * kSizeAt) return std::nullopt;
  const auto bytes = load_little_endian<std::uint32_t>(message.subspan(kSizeAt));
  const Message known = Encoder().begin(kText, kZeroFilledUtf8, 0, bytes).done();
  if (bytes == 0 || !std::ranges::equal(message, known)) return std::nullopt;
  return bytes;
}

}  // namespace cairn::storage
