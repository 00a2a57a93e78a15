#pragma once

#include <cstdint>

#include "cairn/options.hpp"

namespace cairn::policy {

/// Nanoseconds from `from` to `to`; 0 where `to` is not later. Unsigned, because there the
/// difference of any two times fits, also of such that a broken clock gave.
inline std::uint64_t elapsed_ns(Time from, Time to) {
  if (to <= from) return 0;
  return static_cast<std::uint64_t>(to.time_since_epoch().count()) -
         static_cast<std::uint64_t>(from.time_since_epoch().count());
}

}  // namespace cairn::policy
