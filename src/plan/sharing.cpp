#include "plan/sharing.hpp"

#include <algorithm>

#include "cairn/slice.hpp"

namespace cairn::plan {

std::vector<Box> cut_box(const Box& box, std::uint64_t element_bytes, std::uint64_t parts,
                         std::uint64_t smallest) {
  const std::uint64_t bytes = element_count(box.extent) * element_bytes;
  const auto dim = std::ranges::find_if(box.extent, [](std::uint64_t n) { return n > 1; });
  if (dim == box.extent.end()) return {box};
  const std::uint64_t n = std::min({parts, *dim, std::max<std::uint64_t>(bytes / smallest, 1)});
  const auto d = static_cast<std::size_t>(dim - box.extent.begin());
  std::vector<Box> cut;
  for (std::uint64_t i = 0; i < n; ++i) {
    Box part = box;
    const std::uint64_t begin = i * *dim / n;
    part.offset[d] += begin;
    part.extent[d] = (i + 1) * *dim / n - begin;
    cut.push_back(std::move(part));
  }
  return cut;
}

}  // namespace cairn::plan
