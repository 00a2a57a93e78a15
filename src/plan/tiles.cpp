#include "plan/tiles.hpp"

#include <algorithm>

namespace cairn::plan {
namespace {

/// Elements of a tile of `steps` that lie in the box, at most.
std::uint64_t elements_of(const Shape& steps, const Shape& extent) {
  std::uint64_t elements = 1;  // no overflow: no more than the box has
  for (std::size_t d = 0; d < extent.size(); ++d) elements *= std::min(steps[d], extent[d]);
  return elements;
}

/// Cuts a chunk that is too large, the first dimensions first.
Shape cut_to_fit(Shape unit, const Shape& extent, std::uint64_t most) {
  for (std::size_t d = 0; d < unit.size(); ++d) {
    const std::uint64_t elements = elements_of(unit, extent);
    if (elements <= most) break;
    const std::uint64_t others = elements / std::min(unit[d], extent[d]);
    unit[d] = std::max<std::uint64_t>(1, most / others);
  }
  return unit;
}

/// Puts units together, the last dimensions first.
Shape grow(const Shape& unit, const Shape& extent, std::uint64_t most) {
  Shape step = unit;
  for (std::size_t d = step.size(); d-- > 0;) {
    const std::uint64_t others = elements_of(step, extent) / std::min(step[d], extent[d]);
    const std::uint64_t room = most / others;
    if (room >= extent[d]) {
      step[d] = extent[d] + unit[d];  // all, wherever in a unit the box begins
    } else {
      step[d] = std::max<std::uint64_t>(1, room / unit[d]) * unit[d];
    }
  }
  return step;
}

}  // namespace

Tiles::Tiles(Box box, const Shape& chunk, std::uint64_t most)
    : box_(std::move(box)),
      at_(box_.offset),
      done_(std::ranges::find(box_.extent, std::uint64_t{0}) != box_.extent.end()) {
  if (done_) return;
  unit_ = cut_to_fit(chunk, box_.extent, most);
  step_ = grow(unit_, box_.extent, most);
}

std::uint64_t Tiles::tile_end(std::size_t d) const {
  const std::uint64_t on_grid = at_[d] / unit_[d] * unit_[d];
  return step_[d] < end(d) - on_grid ? on_grid + step_[d] : end(d);
}

std::optional<Box> Tiles::next() {
  if (done_) return std::nullopt;
  Box tile{at_, at_};
  for (std::size_t d = 0; d < at_.size(); ++d) tile.extent[d] = tile_end(d) - at_[d];
  advance();
  return tile;
}

void Tiles::advance() {
  for (std::size_t d = at_.size(); d-- > 0;) {
    at_[d] = tile_end(d);
    if (at_[d] < end(d)) return;
    at_[d] = box_.offset[d];
  }
  done_ = true;
}

}  // namespace cairn::plan
