#pragma once

// What the property tests compare with: slices taken apart byte by byte, and random cases to do it
// to. Nothing here calls the code under test.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "cairn/slice.hpp"

namespace cairn::testing {

using Random = std::mt19937_64;
using Positions = std::vector<std::int64_t>;
using Strides = std::vector<std::ptrdiff_t>;

/// One of 0, 1, …, n - 1.
inline std::uint64_t below(Random& random, std::uint64_t n) {
  return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random);
}

/// Runs `test(random)` for `count` seeds, stops at the first that fails and prints it.
template <class Test>
void for_seeds(std::uint64_t count, Test&& test) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    test(random);
    if (::testing::Test::HasFailure()) return;
  }
}

/// Up to five dimensions of up to five elements; now and then one of none.
inline Shape random_shape(Random& random) {
  Shape shape(below(random, 6));
  for (auto& extent : shape) extent = below(random, 25) == 0 ? 0 : 1 + below(random, 5);
  return shape;
}

/// A box of `global`, often of full extent in a dimension and seldom empty.
inline Slice random_box(Random& random, const Shape& global) {
  Slice slice{global, Shape(global.size(), 0), global};
  for (std::size_t d = 0; d < global.size(); ++d) {
    if (global[d] == 0 || below(random, 3) == 0) continue;
    slice.offset[d] = below(random, global[d]);
    slice.extent[d] = 1 + below(random, global[d] - slice.offset[d]);
    if (below(random, 25) == 0) slice.extent[d] = 0;
  }
  return slice;
}

inline Slice random_slice(Random& random) {
  return random_box(random, random_shape(random));
}

inline std::size_t random_element_bytes(Random& random) {
  return std::size_t{1} << below(random, 5);
}

/// Calls `visit(index)` for each index below `extent`, in row-major order.
template <class Visit>
void for_each_index(const Shape& extent, Visit&& visit) {
  for (const std::uint64_t n : extent) {
    if (n == 0) return;
  }
  Shape index(extent.size(), 0);
  while (true) {
    visit(static_cast<const Shape&>(index));
    std::size_t d = extent.size();
    while (d > 0 && index[d - 1] + 1 == extent[d - 1]) index[--d] = 0;
    if (d == 0) return;
    ++index[d - 1];
  }
}

/// How far one step along each dimension goes in a whole tensor of that shape.
inline Strides row_major_strides(const Shape& shape, std::size_t element_bytes) {
  Strides strides(shape.size());
  std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(element_bytes);
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= static_cast<std::ptrdiff_t>(shape[d]);
  }
  return strides;
}

/// The place of each byte of `extent` elements, in local order.
inline Positions positions_of(const Shape& extent, std::size_t element_bytes,
                              const Strides& strides, std::int64_t base) {
  Positions positions;
  for_each_index(extent, [&](const Shape& index) {
    std::int64_t at = base;
    for (std::size_t d = 0; d < index.size(); ++d) {
      at += static_cast<std::int64_t>(index[d]) * strides[d];
    }
    for (std::size_t byte = 0; byte < element_bytes; ++byte) {
      positions.push_back(at + static_cast<std::int64_t>(byte));
    }
  });
  return positions;
}

/// The place of each byte of `slice` in an image where its tensor begins at `base`.
inline Positions image_positions(const Slice& slice, std::size_t element_bytes,
                                 std::uint64_t base) {
  const Strides strides = row_major_strides(slice.global, element_bytes);
  auto first = static_cast<std::int64_t>(base);
  for (std::size_t d = 0; d < strides.size(); ++d) {
    first += static_cast<std::int64_t>(slice.offset[d]) * strides[d];
  }
  return positions_of(slice.extent, element_bytes, strides, first);
}

/// Whether the bytes [first, last) lie side by side.
inline bool is_one_run(const Positions& positions, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t i = first; i + 1 < last; ++i) {
    if (positions[i + 1] != positions[i] + 1) return false;
  }
  return true;
}

/// A range [first, last) within 0 … size.
struct ByteRange {
  std::uint64_t first;
  std::uint64_t last;
};

inline ByteRange random_range(Random& random, std::uint64_t size) {
  const std::uint64_t first = below(random, size + 1);
  return {first, first + below(random, size - first + 1)};
}

inline std::vector<std::byte> random_bytes(Random& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// How a slice lies in a buffer: room for all of its bytes and for the gaps between them.
struct MemoryLayout {
  Strides strides;
  std::int64_t origin = 0;  ///< where the first element is in the buffer
  std::size_t bytes = 0;    ///< of the buffer
};

/// Any order of the dimensions, any padding after each, some of them backwards.
inline MemoryLayout random_memory(Random& random, const Shape& extent, std::size_t element_bytes) {
  std::vector<std::size_t> inner_to_outer(extent.size());
  for (std::size_t d = 0; d < extent.size(); ++d) inner_to_outer[d] = extent.size() - 1 - d;
  if (below(random, 3) == 0) std::shuffle(inner_to_outer.begin(), inner_to_outer.end(), random);
  MemoryLayout memory{Strides(extent.size()), 0, 0};
  std::int64_t span = static_cast<std::int64_t>(element_bytes);
  for (const std::size_t d : inner_to_outer) {
    if (below(random, 3) == 0) span += static_cast<std::int64_t>(below(random, 7));
    const auto last = static_cast<std::int64_t>(extent[d]) - 1;
    const bool backwards = last > 0 && below(random, 4) == 0;
    memory.strides[d] = backwards ? -span : span;
    if (backwards) memory.origin += last * span;
    span *= static_cast<std::int64_t>(extent[d]);
  }
  memory.bytes = static_cast<std::size_t>(span);
  return memory;
}

}  // namespace cairn::testing
