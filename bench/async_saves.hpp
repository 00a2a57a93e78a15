#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cairn/cairn.hpp"
#include "report.hpp"
#include "slices.hpp"
#include "stage.hpp"

namespace bench {

/// Asynchronous saves while a kernel computes, and what each of them costs the thread that trains.
struct AsyncArguments {
  std::string directory;
  std::string prefix;
  std::uint64_t repeat = 1;
  /// Of computing between two saves and, with lazy capture, before a step's update needs the values
  /// captured.
  double step_seconds = 0.5;
};

/// Collective. Prints each save and the summary; returns both, the summary last.
std::vector<Report> run_async_saves(const AsyncArguments& arguments, const Stage& stage,
                                    Slices& slices, cairn::CheckpointSettings settings);

}  // namespace bench
