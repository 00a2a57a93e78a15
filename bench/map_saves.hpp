#pragma once

#include <cstdint>
#include <string>

#include "options.hpp"
#include "stage.hpp"

namespace bench {

struct MapSavesArguments {
  std::string directory;
  std::uint64_t entries;  ///< over all ranks
  double touched;         ///< the part of them that is put before each increment
  std::uint64_t repeat;
  std::string json;
  bool shards;
  ProtectionArguments protection;
};

/// Collective. Times full saves of a MapParameter and increments on them by turns, then a restart on
/// the last of them, which it checks.
void run_map_saves(const MapSavesArguments& arguments, const Stage& stage);

}  // namespace bench
