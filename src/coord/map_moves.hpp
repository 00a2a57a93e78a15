#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/map_table.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. The keys that an increment says this rank erased: of those in flight in its table,
/// all but those that another rank put, and those that a lower rank erased too. So a key that moved
/// to another rank is once in the checkpoint, as one that was put, on any number of ranks.
///
/// Every key has a rank that judges it, by a hash. Where anybody erased anything, all ranks tell
/// the judges what changed, about a million keys for each at a time, and hear what to leave out.
/// Throws `layout`, of the map of that name, where two of them then put one key.
std::vector<std::int64_t> erased_to_save(const Comm& comm, const MapTable& table,
                                         const std::string& name);

}  // namespace cairn::coord
