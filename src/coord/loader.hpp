#pragma once

#include <filesystem>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. Fills `state` from the checkpoint at `path` (rank 0's counts), an image or shards:
/// what is stored where to all ranks, a match over the union of ranks, then the blocks, each read
/// once.
LoadReport load_checkpoint(const Comm& comm, const std::filesystem::path& path, State& state,
                      const LoadOptions& options);

}  // namespace cairn::coord
