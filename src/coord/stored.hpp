#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/box.hpp"
#include "base/tensor.hpp"
#include "coord/comm.hpp"
#include "storage/block_files.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// A box of a tensor that lies in one piece, row-major, from byte `place` of the space on.
struct StoredPiece {
  Box box;
  std::uint64_t place;
};

/// What a checkpoint holds and where, as every rank knows it: one image, or shards. Its values lie
/// in one space of blocks: the body of the image, or those of the shards one after another.
struct Stored {
  std::filesystem::path path;
  storage::Record record;
  std::uint64_t block_bytes = 0;
  std::uint64_t block_count = 0;
  std::vector<storage::FileRange> files;
  std::vector<TensorInfo> tensors;               ///< in bytewise order of their names
  std::vector<std::vector<StoredPiece>> pieces;  ///< of each tensor; they cover it exactly once
};

/// Collective. Reads and checks all structure of the checkpoint at `path` (rank 0's counts); of
/// shards, each rank looks at some. Throws `damaged` naming file and place.
Stored open_stored(const Comm& comm, const std::filesystem::path& path);

}  // namespace cairn::coord
