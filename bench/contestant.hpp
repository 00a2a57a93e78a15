#pragma once

#include <utility>

#include "world.hpp"

namespace bench {

/// What one run took.
struct Sample {
  double seconds = 0;    ///< until the last rank was done
  double processor = 0;  ///< seconds of all ranks and their threads; 0: not measured
  double against = 0;    ///< seconds of what it is to be compared with, measured in the same run
  double planning = 0;   ///< of `seconds`, those of the plan and the file's structure
};

/// A way of saving or loading, or a limit, that is run again and again by turns with others.
class Contestant {
 public:
  Contestant() = default;
  Contestant(const Contestant&) = delete;
  Contestant& operator=(const Contestant&) = delete;
  virtual ~Contestant() = default;

  /// Collective. What counts.
  virtual Sample run() = 0;
  /// Collective. What comes afterwards and is not counted: files that go.
  virtual void tidy() {}
};

/// Local. Seconds of processor time of this process, all threads, user and system.
double processor_seconds();

/// Collective. Runs it on all ranks at once.
template <class Call>
Sample timed_together(const World& world, Call&& call) {
  Sample sample;
  const double start = world.synchronised_time();
  const double processor_start = processor_seconds();
  std::forward<Call>(call)();
  const double used = processor_seconds() - processor_start;
  sample.seconds = world.synchronised_time() - start;
  sample.processor = world.sum(used);
  return sample;
}

}  // namespace bench
