#pragma once

#include <vector>

#include "async_saver.hpp"
#include "cairn/cairn.hpp"
#include "report.hpp"
#include "slices.hpp"
#include "stage.hpp"

namespace bench {

/// Collective. Prints each save and the summary; returns both, the summary last.
std::vector<Report> run_async_saves(const AsyncArguments& arguments, const Stage& stage,
                                    Slices& slices, cairn::CheckpointSettings settings);

}  // namespace bench
