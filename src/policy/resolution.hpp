#pragma once

#include <chrono>

#include "cairn/config.hpp"
#include "cairn/options.hpp"

namespace cairn::policy {

/// The longest wait or age that may be asked for, 100 years: added to any present time it still
/// fits in 64 bits of nanoseconds.
inline constexpr std::chrono::hours kLongestWait{100 * 365 * 24};

/// What the four counts mean together: none of them is unset in the answer. Resolving an answer
/// again changes nothing that a trigger or retention looks at.
///
/// Throws `invalid_argument`, naming the setting, what it got and what it takes, where any setting
/// is out of its range or the four counts are all turned off by hand.
CheckpointPolicy resolve(const CheckpointSettings& settings);

/// The parts of that check which calls without a config need too.
void check(const WriteOptions& options);
void check_deadline(std::chrono::seconds deadline);

}  // namespace cairn::policy
