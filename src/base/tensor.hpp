#pragma once

#include <cstdint>
#include <string>

#include "cairn/dtype.hpp"
#include "cairn/slice.hpp"

namespace cairn {

/// A global tensor, as all ranks see it.
struct TensorInfo {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;

  bool operator==(const TensorInfo&) const = default;
};

/// Marks a tensor without elements: it has no place in the image.
inline constexpr std::uint64_t kNoOffset = ~std::uint64_t{0};

/// A global tensor and where its values lie in the image, in bytes from the image's begin.
struct PlacedTensor : TensorInfo {
  std::uint64_t offset = kNoOffset;

  bool operator==(const PlacedTensor&) const = default;
};

}  // namespace cairn
