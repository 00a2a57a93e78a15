#pragma once

#include <mpi.h>

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "plan/routes.hpp"
#include "storage/image.hpp"

namespace cairn::coord {

/// Collective. Fills `state` from the image at `path` (rank 0's counts): index to all ranks, strict
/// match over the union of ranks, then the blocks, each read once.
LoadReport load_image(const Comm& comm, const std::filesystem::path& path, State& state,
                      const LoadOptions& options);

}  // namespace cairn::coord
