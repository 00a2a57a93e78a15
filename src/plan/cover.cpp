// Exact cover, one dimension at a time: the boxes' edges cut dimension 0 into slabs; within a slab
// the same boxes are present throughout, and the question is the same with one dimension less. The
// slabs are visited in order, so the first defect found is the first in row-major order. Boxes that
// are many and share no edges take long that way, so it is only gone where there is a defect.
#include "plan/cover.hpp"

#include <algorithm>
#include <vector>

#include "plan/cover_proof.hpp"

namespace cairn::plan {
namespace {

using Places = std::vector<std::size_t>;

class Search {
 public:
  Search(const Shape& shape, std::span<const Box* const> boxes) : shape_(shape), boxes_(boxes) {}

  std::optional<CoverDefect> run() {
    Places present;
    for (std::size_t i = 0; i < boxes_.size(); ++i) {
      if (!is_empty(*boxes_[i])) present.push_back(i);
    }
    return in_slab(0, present);
  }

 private:
  std::uint64_t begin(std::size_t box, std::size_t dim) const { return boxes_[box]->offset[dim]; }
  std::uint64_t end(std::size_t box, std::size_t dim) const {
    return boxes_[box]->offset[dim] + boxes_[box]->extent[dim];
  }

  /// The boxes in `present` hold all that `corner_` fixes in the dimensions before `dim`.
  std::optional<CoverDefect> in_slab(std::size_t dim, const Places& present) {
    if (present.empty()) return defect(dim, std::nullopt);
    if (present.size() == 1 && covers_rest(dim, present.front())) return std::nullopt;
    if (dim == shape_.size()) return defect(dim, std::pair{present[0], present[1]});
    return over_slabs(dim, present);
  }

  std::optional<CoverDefect> over_slabs(std::size_t dim, Places by_begin) {
    std::ranges::sort(by_begin, {}, [&](std::size_t box) { return begin(box, dim); });
    std::vector<std::uint64_t> cuts{0, shape_[dim]};
    for (const std::size_t box : by_begin) {
      cuts.push_back(begin(box, dim));
      cuts.push_back(end(box, dim));
    }
    std::ranges::sort(cuts);
    cuts.erase(std::ranges::unique(cuts).begin(), cuts.end());

    Places active;
    auto next = by_begin.begin();
    for (std::size_t c = 0; c + 1 < cuts.size(); ++c) {
      std::erase_if(active, [&](std::size_t box) { return end(box, dim) <= cuts[c]; });
      while (next != by_begin.end() && begin(*next, dim) == cuts[c]) active.push_back(*next++);
      corner_.push_back(cuts[c]);
      auto found = in_slab(dim + 1, active);
      corner_.pop_back();
      if (found) return found;
    }
    return std::nullopt;
  }

  bool covers_rest(std::size_t dim, std::size_t box) const {
    for (std::size_t d = dim; d < shape_.size(); ++d) {
      if (boxes_[box]->extent[d] != shape_[d]) return false;
    }
    return true;
  }

  CoverDefect defect(std::size_t dim, std::optional<std::pair<std::size_t, std::size_t>> overlap) {
    Shape index = corner_;
    index.resize(std::max(dim, shape_.size()), 0);
    return {std::move(index), overlap};
  }

  const Shape& shape_;
  std::span<const Box* const> boxes_;
  Shape corner_;
};

}  // namespace

std::optional<CoverDefect> find_defect(const Shape& shape, std::span<const Box* const> boxes) {
  if (std::ranges::find(shape, std::uint64_t{0}) != shape.end()) return std::nullopt;
  if (prove_cover(shape, boxes, cover_steps(boxes.size())) == CoverProof::exact) return std::nullopt;
  return Search(shape, boxes).run();
}

}  // namespace cairn::plan
