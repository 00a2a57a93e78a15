#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "coord/forsake.hpp"

namespace cairn::coord {

/// What MPI reads or writes while an operation is under way. After a wait that was given up it may
/// do so at any later time, when the missing rank comes after all: then it is never freed.
template <class T>
class Lent {
 public:
  /// `given_up` must outlive it.
  Lent(const std::atomic<bool>& given_up, T value)
      : given_up_(given_up), value_(std::make_unique<T>(std::move(value))) {}
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  ~Lent() {
    if (given_up_) forsake(std::move(value_));
  }

  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_.get(); }

 private:
  const std::atomic<bool>& given_up_;
  std::unique_ptr<T> value_;
};

}  // namespace cairn::coord
