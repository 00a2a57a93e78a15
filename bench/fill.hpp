#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cairn/dtype.hpp"
#include "cairn/slice.hpp"

namespace bench {

/// The values of one tensor at one step. The element of row-major global index i is made from
///
///   x = (i * 2654435761 + place * 40503 + step * 7919) mod 2^32
///
/// by the dtype's line in bench/workloads/README.md, so that any reader can check any file.
struct FillRule {
  cairn::DType dtype;
  std::uint64_t place;  ///< of the tensor in the workload's list, from 0
  std::uint64_t step;
};

/// Bytes of the largest element.
inline constexpr std::size_t kMostElementBytes = 16;
using ElementBits = std::array<std::byte, kMostElementBytes>;

/// The first element that is not what the rule says.
struct Difference {
  std::uint64_t index = 0;  ///< row-major, in the global tensor
  ElementBits expected{};
  ElementBits actual{};
};

/// Fills a slice's memory: its elements in row-major order without gaps.
void fill(const FillRule& rule, const cairn::Slice& slice, std::byte* memory);

/// Compares such memory with the rule, bit for bit.
std::optional<Difference> find_difference(const FillRule& rule, const cairn::Slice& slice,
                                          const std::byte* memory);

/// An element as its bits in hexadecimal and, where C++ has the type, its value: "0x3f000000
/// (0.5)".
std::string element_text(cairn::DType dtype, const ElementBits& bits);

}  // namespace bench
