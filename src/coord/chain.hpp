#pragma once

#include <vector>

#include "coord/comm.hpp"
#include "coord/stored.hpp"
#include "storage/protection.hpp"

namespace cairn::coord {

/// Collective. The checkpoints that `newest` goes back to, the full one first, without `newest`
/// itself; none where it is full. Throws `damaged`, naming the link, where one is missing, is damaged
/// or is not the one that was there when the next was saved.
std::vector<Stored> open_chain(const Comm& comm, const Stored& newest,
                               const storage::Unlock& unlock);

}  // namespace cairn::coord
