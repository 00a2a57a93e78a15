#include "cairn/slice.hpp"

#include <algorithm>
#include <limits>

#include "cairn/error.hpp"

namespace cairn {
namespace {

constexpr std::uint64_t kMostElements = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

/// floor(part * n / parts) without overflow.
std::uint64_t cut(std::uint64_t n, std::uint64_t part, std::uint64_t parts) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(n) * part / parts);
}

/// Narrows dimension `dim` of `slice` to part `part` of `parts` of what it has there.
void narrow(Slice& slice, std::size_t dim, std::uint64_t part, std::uint64_t parts) {
  const std::uint64_t n = slice.extent[dim];
  const std::uint64_t begin = cut(n, part, parts);
  slice.offset[dim] += begin;
  slice.extent[dim] = cut(n, part + 1, parts) - begin;
}

}  // namespace

std::uint64_t Mesh::size() const { return element_count(device_matrix); }

bool Mesh::contains(int rank) const {
  return rank >= first_rank && static_cast<std::uint64_t>(rank - first_rank) < size();
}

std::uint64_t element_count(std::span<const std::uint64_t> shape) {
  if (std::ranges::find(shape, std::uint64_t{0}) != shape.end()) return 0;
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) {
    if (extent > kMostElements / count) refuse("shape " + to_string(shape) + " has too many elements");
    count *= extent;
  }
  return count;
}

std::string to_string(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

Slice whole(Shape shape) {
  Slice slice;
  slice.offset.assign(shape.size(), 0);
  slice.extent = shape;
  slice.global = std::move(shape);
  return slice;
}

Slice split(Shape shape, std::size_t dim, int part, int parts) {
  if (dim >= shape.size()) {
    refuse("split along dimension " + std::to_string(dim) + " of shape " + to_string(shape) +
           ", which has " + std::to_string(shape.size()));
  }
  if (parts < 1 || part < 0 || part >= parts) {
    refuse("split into part " + std::to_string(part) + " of " + std::to_string(parts) +
           ": expected 0 <= part < parts");
  }
  Slice slice = whole(std::move(shape));
  narrow(slice, dim, static_cast<std::uint64_t>(part), static_cast<std::uint64_t>(parts));
  return slice;
}

Slice place(Shape shape, const Mesh& mesh, std::span<const int> tensor_map, int rank,
            OptimizerShard shard) {
  const std::size_t axes = mesh.device_matrix.size();
  if (!mesh.contains(rank)) {
    refuse("rank " + std::to_string(rank) + " is not in the mesh " + to_string(mesh.device_matrix) +
           " from rank " + std::to_string(mesh.first_rank) + " on");
  }
  if (tensor_map.size() != shape.size()) {
    refuse("tensor map has " + std::to_string(tensor_map.size()) + " entries for shape " +
           to_string(shape));
  }
  // The place of this rank along each axis of the device matrix.
  std::vector<std::uint64_t> coordinate(axes);
  std::uint64_t rest = static_cast<std::uint64_t>(rank - mesh.first_rank);
  const std::uint64_t device = rest;
  for (std::size_t axis = axes; axis-- > 0;) {
    coordinate[axis] = rest % mesh.device_matrix[axis];
    rest /= mesh.device_matrix[axis];
  }
  Slice slice = whole(std::move(shape));
  std::vector<bool> used(axes, false);
  for (std::size_t dim = 0; dim < tensor_map.size(); ++dim) {
    const int k = tensor_map[dim];
    if (k == -1) continue;
    if (k < -1 || static_cast<std::size_t>(k) >= axes) {
      refuse("tensor map entry " + std::to_string(k) + " for a device matrix of " +
             std::to_string(axes) + " dimensions: expected -1" +
             (axes == 0 ? "" : " to " + std::to_string(axes - 1)));
    }
    const std::size_t axis = axes - 1 - static_cast<std::size_t>(k);
    if (used[axis]) refuse("tensor map uses " + std::to_string(k) + " twice");
    used[axis] = true;
    narrow(slice, dim, coordinate[axis], mesh.device_matrix[axis]);
  }
  if (shard.size < 1 || shard.step < 1) {
    refuse("optimizer shard of step " + std::to_string(shard.step) + " and size " +
           std::to_string(shard.size) + ": expected both at least 1");
  }
  if (shard.size > 1) {
    if (slice.global.empty()) refuse("optimizer shard of a scalar");
    const auto size = static_cast<std::uint64_t>(shard.size);
    narrow(slice, 0, device / static_cast<std::uint64_t>(shard.step) % size, size);
  }
  return slice;
}

}  // namespace cairn
