#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "memory_gauge.hpp"
#include "report.hpp"
#include "slices.hpp"
#include "world.hpp"

namespace bench {

/// What a subcommand runs in.
struct Stage {
  const World& world;
  const MemoryGauge& gauge;
};

/// Collective. What is saved or loaded, by how many.
Report describe(const Stage& stage, const std::string& workload_path, const Workload& workload,
                const Slices& slices);

/// Collective. The peaks of resident memory, over ranks: above what was resident after MPI_Init,
/// and above that and the rank's own slices.
void add_memory_peaks(Report& report, const Stage& stage, const Slices& slices);

/// Local. Rank 0 prints the first report, and the next ones after an empty line.
void print_first(const Stage& stage, const Report& report);
void print_next(const Stage& stage, const Report& report);

/// Collective. Rank 0 writes the file. Throws Failure where it cannot.
void write_json(const Stage& stage, const std::filesystem::path& path,
                const nlohmann::ordered_json& json);

}  // namespace bench
