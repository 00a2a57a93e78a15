#pragma once

#include <mpi.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "coord/comm.hpp"

namespace cairn::coord {

/// Requests under way, each with what to do when it completes.
template <class Item>
class InFlight {
 public:
  void add(MPI_Request request, Item item) {
    requests_.push_back(request);
    items_.push_back(std::move(item));
  }
  [[nodiscard]] std::size_t size() const noexcept { return requests_.size(); }
  [[nodiscard]] bool empty() const noexcept { return requests_.empty(); }
  /// The one that was added first.
  [[nodiscard]] const Item& front() const noexcept { return items_.front(); }

  /// Calls `done(item)` for each that is complete by now, in the order they were added. Returns
  /// whether there was any.
  template <class Done>
  bool collect(const Comm& comm, Done&& done) {
    if (requests_.empty()) return false;
    comm.test_some(requests_, completed_);
    if (completed_.empty()) return false;
    std::ranges::sort(completed_);
    for (const int i : completed_) done(items_[static_cast<std::size_t>(i)]);
    std::size_t kept = 0;
    auto gone = completed_.begin();
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (gone != completed_.end() && static_cast<std::size_t>(*gone) == i) {
        ++gone;
        continue;
      }
      requests_[kept] = requests_[i];
      if (kept != i) items_[kept] = std::move(items_[i]);
      ++kept;
    }
    requests_.resize(kept);
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(kept), items_.end());
    return true;
  }

 private:
  std::vector<MPI_Request> requests_;
  std::vector<Item> items_;
  std::vector<int> completed_;
};

}  // namespace cairn::coord
