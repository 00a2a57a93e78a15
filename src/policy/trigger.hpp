#pragma once

#include <cstdint>

#include "cairn/config.hpp"
#include "cairn/options.hpp"

namespace cairn::policy {

// All three take a resolved policy: of the two triggers at most one is on.

/// At least `save_checkpoint_steps` steps were made since the last save. `last_saved_step` is 0
/// before any save. Not "a multiple of": a program may ask every k steps only.
bool steps_due(const CheckpointPolicy& policy, std::uint64_t step, std::uint64_t last_saved_step);

/// More than `save_checkpoint_seconds` seconds passed from `last`, the time of the last save or of
/// the construction.
bool seconds_due(const CheckpointPolicy& policy, Time now, Time last);

/// Whether ranks tell each other something at each step: what rank 0's clock says, or that one of
/// them was sent a signal. Steps alone need no message.
bool needs_reduction(const CheckpointSettings& resolved);

}  // namespace cairn::policy
