#include "coord/forsake.hpp"

#include <mutex>
#include <new>
#include <vector>

namespace cairn::coord {

void note_forsaken(const void* memory) noexcept {
  static std::mutex turn;
  static auto* const known = new (std::nothrow) std::vector<const void*>;
  if (known == nullptr) return;
  try {
    const std::lock_guard lock(turn);
    known->push_back(memory);
  } catch (...) {
    // Nobody knows of it then; it stays all the same.
  }
}

}  // namespace cairn::coord
