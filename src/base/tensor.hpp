#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "cairn/dtype.hpp"
#include "cairn/slice.hpp"
#include "cairn/state.hpp"

namespace cairn {

/// Longest name of a tensor, in bytes.
inline constexpr std::size_t kLongestName = 16384;
/// Longest text of append_info, in bytes: never more than a block has, so that it is never cut.
inline constexpr std::size_t kLongestText = std::size_t{64} << 10;

/// What tells a tensor from all others, and the order in which they lie in a file.
struct TensorKey {
  Family family;
  std::string_view name;

  auto operator<=>(const TensorKey&) const = default;
};

/// A global tensor, as all ranks see it.
struct TensorInfo {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  Family family = Family::parameter;
  /// Its elements, of type uint8, are the bytes of one text, which a file has as a scalar string.
  bool is_text = false;

  [[nodiscard]] TensorKey key() const noexcept { return {family, name}; }

  bool operator==(const TensorInfo&) const = default;
};

/// For messages: "tensor \"w\"", "append_info \"lr\"".
std::string label(Family family, std::string_view name);
inline std::string label(const TensorInfo& tensor) { return label(tensor.family, tensor.name); }
/// For lists of names: "w", "append_info/lr".
std::string listed_name(Family family, std::string_view name);
/// For messages: "float32 [3, 5]", "a text of 12 bytes".
std::string type_and_shape(const TensorInfo& tensor);

/// Marks a tensor without elements: it has no place in the image.
inline constexpr std::uint64_t kNoOffset = ~std::uint64_t{0};

/// A global tensor and where its values lie in the image, in bytes from the image's begin.
struct PlacedTensor : TensorInfo {
  std::uint64_t offset = kNoOffset;

  bool operator==(const PlacedTensor&) const = default;
};

}  // namespace cairn
