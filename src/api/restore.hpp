#pragma once

#include "api/run_series.hpp"
#include "cairn/model_checkpoint.hpp"
#include "coord/comm.hpp"

namespace cairn {

/// What a restore works with.
struct RestoreFrom {
  const coord::Comm& comm;
  RunSeries* series;  ///< open; rank 0 only
  const CheckpointSettings& settings;
  std::filesystem::path directory;  ///< for messages
};

/// Collective. Fills `state` from the newest checkpoint of the series that is good on every rank,
/// and says which were passed over. Throws `damaged` where none is, and whatever is not damage. What
/// ranks saved alone is no checkpoint unless it is enough: nothing where there is only such.
std::optional<Restored> restore_newest(const RestoreFrom& from, State& state, const LoadOptions& options);

}  // namespace cairn
