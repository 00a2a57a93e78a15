#pragma once

#include <string_view>
#include <vector>

#include "base/map_table.hpp"
#include "cairn/state.hpp"
#include "codec/sha256.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Collective. The maps of a State by name, the same on all ranks. Throws the same
/// `invalid_argument` everywhere where a rank has others, a name is empty or there twice, or one map
/// has two names.
std::vector<State::Map> same_maps(const Comm& comm, const State& state);

/// What a table keeps in mind when it is as a checkpoint of that digest has it by that name. Maps
/// may change their names, by `std::swap` or by a prefix: then their marks count since nothing.
MapTable::Since since_of(const codec::Digest& checkpoint, std::string_view stored_name);

}  // namespace cairn::coord
