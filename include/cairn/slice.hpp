#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cairn/export.hpp"

namespace cairn {

/// Extents in elements, slowest dimension first (row-major). A scalar is `{}`.
using Shape = std::vector<std::uint64_t>;

/// A box of a global tensor: `extent` elements from `offset` on, in each dimension.
/// An extent of 0 in any dimension holds nothing.
struct Slice {
  Shape global;  ///< the whole tensor's
  Shape offset;  ///< of the first element, one number per dimension
  Shape extent;  ///< of the box: offset + extent <= global

  /// Whether it is the same box of the same shape; empty boxes at two places differ.
  bool operator==(const Slice&) const = default;
};

/// Ranks arranged as a row-major matrix, the last dimension fastest: rank `first_rank + i` is the
/// i-th device. A pipeline stage is a mesh over its own ranks.
struct Mesh {
  std::vector<std::uint64_t> device_matrix;  ///< extents, such as {data, tensor}; each at least 1
  int first_rank = 0;                        ///< the rank that is the first device

  /// Local. The number of devices.
  [[nodiscard]] CAIRN_API std::uint64_t size() const;
  /// Local. Whether `rank` is one of the devices.
  [[nodiscard]] CAIRN_API bool contains(int rank) const;
};

/// Splits a slice once more along dimension 0 over a group of `size` devices that stand `step`
/// apart in the mesh, as optimizer parallelism does.
struct OptimizerShard {
  int step = 1;  ///< between neighbours of a group, in devices
  int size = 1;  ///< of a group; 1: no further split
};

/// Local. The whole tensor: replicated on every rank that says so.
CAIRN_API Slice whole(Shape shape);

/// Local. Part `part` of `parts` along `dim`: indices from `part*n/parts` to `(part+1)*n/parts`,
/// so parts may be uneven or empty. Throws `invalid_argument`.
CAIRN_API Slice split(Shape shape, std::size_t dim, int part, int parts);

/// Local. What `rank` holds of a tensor laid over a mesh. `tensor_map` has one entry per tensor
/// dimension: -1 = not split, k = split along `device_matrix[size - 1 - k]`. Ranks that differ
/// only in unmapped device dimensions are replicas. Splits may be uneven, as with `split`.
/// Throws `invalid_argument`, also where `rank` is not in the mesh.
CAIRN_API Slice place(Shape shape, const Mesh& mesh, std::span<const int> tensor_map, int rank,
                      OptimizerShard shard = {});

/// Local. The number of elements of a shape; 1 for a scalar. Throws `invalid_argument` where it
/// does not fit in 63 bits.
CAIRN_API std::uint64_t element_count(std::span<const std::uint64_t> shape);

/// Local. "[4096, 1024]".
CAIRN_API std::string to_string(std::span<const std::uint64_t> shape);

}  // namespace cairn
