#pragma once

#include <utility>

#include "cairn/listener.hpp"

namespace cairn::coord {

/// Local. `listen(listener)`, where there is one. What it throws is dropped: it comes from one rank
/// alone, between collective calls, and must not tear the ranks apart.
template <class Listen>
void tell(Listener* listener, Listen&& listen) noexcept {
  if (listener == nullptr) return;
  try {
    std::forward<Listen>(listen)(*listener);
  } catch (...) {
  }
}

}  // namespace cairn::coord
