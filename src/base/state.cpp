#include "cairn/state.hpp"

namespace cairn {

State& State::add_entry(Entry entry) {
  entries_.push_back(std::move(entry));
  return *this;
}

}  // namespace cairn
