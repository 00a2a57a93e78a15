#pragma once

#include <filesystem>

#include "workload.hpp"
#include "world.hpp"

namespace bench {

/// Collective. Rank 0 reads the file for all. Throws UsageError where it is no workload.
Workload read_workload(const World& world, const std::filesystem::path& path);

}  // namespace bench
