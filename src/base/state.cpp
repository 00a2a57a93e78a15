#include "cairn/state.hpp"

#include <utility>

namespace cairn {

State& State::add_entry(Entry entry) {
  entries_.push_back(std::move(entry));
  return *this;
}

State& State::add(std::string name, MapParameter& map) {
  maps_.push_back({std::move(name), &map});
  return *this;
}

}  // namespace cairn
