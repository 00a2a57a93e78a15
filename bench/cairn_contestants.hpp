#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "contestant.hpp"
#include "slices.hpp"
#include "workload.hpp"
#include "world.hpp"

namespace bench {

/// What is saved, and where.
struct Course {
  const World& world;
  const Workload& workload;
  Slices& slices;
  std::filesystem::path directory;
  double step_seconds = 0.5;  ///< of computing, beside asynchronous saves
  Pages pages = Pages::huge;  ///< of what a load is cut for
};

/// "sync", "shards", "crc", "aes-gcm", "aes-cbc", "sm4-cbc": a save that is waited for. "async",
/// "lazy": one beside a kernel that computes. "load", "resliced": of a file that is saved for it,
/// as it was cut and cut the other way.
extern const std::vector<std::string> kCairnWays;

/// Collective. `way` is one of those.
std::unique_ptr<Contestant> make_cairn_contestant(const Course& course, const std::string& way);

}  // namespace bench
