#pragma once

#include <filesystem>
#include <optional>

#include "cairn/error.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "coord/save_plan.hpp"
#include "coord/staging.hpp"

namespace cairn::coord {

/// Collective; waits inside MPI-IO have no deadline. The body of a save as HDF5 itself would write
/// it: every rank gives its boxes to collective H5Dwrite calls. Slower than the engine, and the
/// oracle that it is measured by. Returns this rank's error of reading its values.
std::optional<Error> write_by_reference(const Comm& comm, const SavePlan& plan, const State& state,
                                        const std::filesystem::path& path, Staging& staging);

}  // namespace cairn::coord
