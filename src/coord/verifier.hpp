#pragma once

#include <filesystem>

#include "cairn/inspect.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. Checks all structure and every block of the checkpoint at `path` (rank 0's counts).
VerifyReport verify_checkpoint(const Comm& comm, const std::filesystem::path& path,
                               const VerifyOptions& options);

}  // namespace cairn::coord
