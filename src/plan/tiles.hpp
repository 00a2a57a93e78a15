#pragma once

#include <cstdint>
#include <optional>

#include "base/box.hpp"

namespace cairn::plan {

/// Cuts a box of a tensor that is stored in chunks into tiles to be read one at a time: whole
/// chunks, as many as fit, the last dimensions first, so that no chunk is needed for two tiles. A
/// tensor without chunks has chunks of one element; its tiles are ranges of rows.
class Tiles {
 public:
  /// `most` > 0 bounds the elements of a tile. A chunk that has more of the box than that is cut.
  Tiles(Box box, const Shape& chunk, std::uint64_t most);

  /// The next tile, in row-major order of their corners; nothing after the last.
  std::optional<Box> next();

 private:
  [[nodiscard]] std::uint64_t end(std::size_t d) const { return box_.offset[d] + box_.extent[d]; }
  [[nodiscard]] std::uint64_t tile_end(std::size_t d) const;
  void advance();

  Box box_;
  Shape unit_;  ///< the grid that tiles end on: the chunk, or less
  Shape step_;  ///< of a tile: a multiple of the unit
  Shape at_;    ///< corner of the next tile
  bool done_ = false;
};

}  // namespace cairn::plan
