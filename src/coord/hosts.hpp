#pragma once

#include <cstdint>

#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. On how many hosts the ranks are, as rank 0 is told; 0 on the others.
std::uint64_t count_hosts(const Comm& comm);

/// Collective. Whether MPI takes calls of any thread on every rank.
bool takes_any_thread(const Comm& comm);

}  // namespace cairn::coord
