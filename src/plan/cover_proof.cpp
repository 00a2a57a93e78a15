// Boxes cover a shape exactly once if and only if the function
//
//   f = sum of the boxes' indicators - the shape's indicator
//
// is zero everywhere. It is zero if and only if it is so before the first edge in dimension 0 (it
// is) and changes at no edge; and its change at an edge is a function of the same kind with one
// dimension less: the faces of the boxes that begin there, minus those of the boxes that end there.
// Faces that cancel each other go before anything else is done, which in a grid is nearly all of
// them. All changes together make zero, since every box that begins ends: so the last one needs no
// look, and a dimension that nobody cuts costs nothing.
#include "plan/cover_proof.hpp"

#include <algorithm>
#include <compare>
#include <utility>
#include <vector>

namespace cairn::plan {
namespace {

/// A box without its first dimensions, so many times.
struct Face {
  const Box* box;
  std::int64_t times;
};
using Faces = std::vector<Face>;

struct Edge {
  std::uint64_t at;
  Face face;
};

/// Boxes come in the order of ranks, which mostly is theirs, too.
template <class Range, class Less>
void sort_if_need_be(Range& range, Less less) {
  if (!std::ranges::is_sorted(range, less)) std::ranges::sort(range, less);
}

class Proof {
 public:
  Proof(std::size_t rank, std::uint64_t most_steps) : rank_(rank), steps_left_(most_steps) {}

  /// Whether the sum of the faces is zero everywhere. False too where the steps are used up.
  bool is_zero(std::size_t dim, Faces faces) {
    if (faces.size() > steps_left_) {
      steps_left_ = 0;
      exhausted_ = true;
      return false;
    }
    steps_left_ -= faces.size();
    cancel(dim, faces);
    if (faces.empty()) return true;
    if (dim == rank_ || faces.size() == 1) return false;
    return changes_nowhere(dim, edges_of(dim, faces));
  }

  [[nodiscard]] bool exhausted() const noexcept { return exhausted_; }

 private:
  [[nodiscard]] std::strong_ordering compare(std::size_t dim, const Box& a, const Box& b) const {
    for (std::size_t d = dim; d < rank_; ++d) {
      if (const auto order = a.offset[d] <=> b.offset[d]; order != 0) return order;
      if (const auto order = a.extent[d] <=> b.extent[d]; order != 0) return order;
    }
    return std::strong_ordering::equal;
  }

  /// Makes equal faces one, and none where they are zero together.
  void cancel(std::size_t dim, Faces& faces) const {
    sort_if_need_be(
        faces, [&](const Face& a, const Face& b) { return compare(dim, *a.box, *b.box) < 0; });
    auto kept = faces.begin();
    for (auto next = faces.begin(); next != faces.end();) {
      Face sum{next->box, 0};
      for (; next != faces.end() && compare(dim, *sum.box, *next->box) == 0; ++next) {
        sum.times += next->times;
      }
      if (sum.times != 0) *kept++ = sum;
    }
    faces.erase(kept, faces.end());
  }

  static std::vector<Edge> edges_of(std::size_t dim, const Faces& faces) {
    std::vector<Edge> edges;
    edges.reserve(2 * faces.size());
    for (const Face& face : faces) {
      const std::uint64_t begin = face.box->offset[dim];
      edges.push_back({begin, face});
      edges.push_back({begin + face.box->extent[dim], {face.box, -face.times}});
    }
    sort_if_need_be(edges, [](const Edge& a, const Edge& b) { return a.at < b.at; });
    return edges;
  }

  bool changes_nowhere(std::size_t dim, const std::vector<Edge>& edges) {
    Faces here;
    for (auto edge = edges.begin(); edge->at != edges.back().at;) {
      const std::uint64_t at = edge->at;
      here.clear();
      for (; edge->at == at; ++edge) here.push_back(edge->face);
      if (!is_zero(dim + 1, here)) return false;
    }
    return true;
  }

  std::size_t rank_;
  std::uint64_t steps_left_;
  bool exhausted_ = false;
};

}  // namespace

CoverProof prove_cover(const Shape& shape, std::span<const Box* const> boxes,
                       std::uint64_t most_steps) {
  const Box whole{Shape(shape.size(), 0), shape};
  if (is_empty(whole)) return CoverProof::exact;
  Faces faces;
  faces.reserve(boxes.size() + 1);
  for (const Box* box : boxes) {
    if (!is_empty(*box)) faces.push_back({box, 1});
  }
  Proof proof(shape.size(), most_steps);
  // Behind the box at the origin: so a grid in order stays in order.
  faces.insert(faces.begin() + (faces.empty() ? 0 : 1), {&whole, -1});
  if (proof.is_zero(0, std::move(faces))) return CoverProof::exact;
  return proof.exhausted() ? CoverProof::undecided : CoverProof::wrong;
}

}  // namespace cairn::plan
