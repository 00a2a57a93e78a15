#pragma once

#include <filesystem>
#include <vector>

#include "base/wire.hpp"
#include "coord/comm.hpp"
#include "coord/stored.hpp"
#include "storage/lone_shard.hpp"
#include "storage/protection.hpp"

namespace cairn::coord {

// What ranks saved alone (storage/lone_shard), put together: the files of one run, step and structure,
// where together they have every element of every tensor. Of replicas one is taken.

/// Whether the path is that of a set: `….rank*of4.shard`.
bool is_lone_set(const std::filesystem::path& path);

/// What the record of a lone shard says beside its identity. Throws `damaged` where it is none, or
/// not the one that `path` names.
storage::LoneMark lone_mark_at(const std::filesystem::path& path, const storage::Record& record);

/// Collective. Looks at the files of the set, the ranks taking turns; rank 0 gets what each rank saw.
/// Throws `wrong_key` and `mismatch`; what is damaged is passed on as such.
std::vector<Bytes> look_at_lone_files(const Comm& comm, const std::filesystem::path& set,
                                      const storage::Unlock& unlock);

/// Rank 0. Throws `damaged` where they are not enough, or not surely of one state, saying why.
Stored put_lone_set_together(const std::filesystem::path& set, const std::vector<Bytes>& seen,
                             const storage::Unlock& unlock);

}  // namespace cairn::coord
