#pragma once

#include <memory>

namespace cairn::coord {

/// Notes memory that is never freed, so that who looks for leaks finds it in use.
void note_forsaken(const void* memory) noexcept;

/// Leaves alone for ever what MPI may still read or write, after a wait for it was given up.
template <class T>
void forsake(std::unique_ptr<T> thing) noexcept {
  note_forsaken(thing.release());
}

}  // namespace cairn::coord
