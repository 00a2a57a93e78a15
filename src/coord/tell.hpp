#pragma once

#include <mutex>
#include <utility>

#include "cairn/listener.hpp"

namespace cairn::coord {

inline std::recursive_mutex& mutex_of_listeners() {
  static std::recursive_mutex mutex;
  return mutex;
}

/// Local. `listen(listener)`, where there is one. What it throws is dropped: it comes from one rank
/// alone, between collective calls, and must not tear the ranks apart. One thing is told at a time,
/// whichever thread tells it; what listens may make Cairn tell more.
template <class Listen>
void tell(Listener* listener, Listen&& listen) noexcept {
  if (listener == nullptr) return;
  try {
    const std::lock_guard lock(mutex_of_listeners());
    std::forward<Listen>(listen)(*listener);
  } catch (...) {
  }
}

}  // namespace cairn::coord
