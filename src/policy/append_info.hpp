#pragma once

#include <cstdint>
#include <vector>

#include "cairn/append_info.hpp"

namespace cairn::policy {

/// The items of append_info as one dictionary. A counter that is given as a text has the base 0,
/// unless the dictionary has one of that name. Throws `invalid_argument`, naming what is wrong.
AppendDict resolve_append_info(const std::vector<AppendItem>& items);

/// Throws `invalid_argument` for a key or text that cannot be stored.
void check_append_dict(const AppendDict& dict);

/// What a save after global step `step` stores: the counters with their bases added. Throws
/// `invalid_argument` where a sum does not fit.
AppendDict with_counters(const AppendDict& resolved, std::uint64_t step,
                         std::uint64_t steps_per_epoch);

}  // namespace cairn::policy
