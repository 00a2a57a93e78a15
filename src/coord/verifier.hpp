#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "cairn/inspect.hpp"
#include "coord/comm.hpp"
#include "storage/protection.hpp"

namespace cairn::coord {

/// Collective. Checks all structure and every block of the checkpoint at `path` (rank 0's counts).
VerifyReport verify_checkpoint(const Comm& comm, const std::filesystem::path& path,
                               const storage::Unlock& unlock,
                               const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace cairn::coord
