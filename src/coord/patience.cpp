#include "coord/patience.hpp"

#include <sched.h>
#include <time.h>

#include <algorithm>

namespace cairn::coord {

std::optional<Patience::Micros> Patience::nap() noexcept {
  constexpr Micros kShortest{100};
  constexpr Micros kLongest{1000};
  if (pauses_ < yields_) {
    ++pauses_;
    sched_yield();
    return std::nullopt;
  }
  const Micros most = std::clamp(waited_ / 4, kShortest, kLongest);
  waited_ += most;
  return most;
}

void Patience::pause() noexcept {
  pause([](Micros most) {
    const timespec nap{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(most).count()};
    nanosleep(&nap, nullptr);
  });
}

}  // namespace cairn::coord
