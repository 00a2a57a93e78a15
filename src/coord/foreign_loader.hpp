#pragma once

#include <filesystem>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. Whether `path` (rank 0's counts) is an HDF5 file that Cairn did not write.
bool is_foreign(const Comm& comm, const std::filesystem::path& path);

/// Collective. Fills `state` from such a file, by the rules of every load.
LoadReport load_foreign(const Comm& comm, const std::filesystem::path& path, State& state,
                        const LoadOptions& options);

}  // namespace cairn::coord
