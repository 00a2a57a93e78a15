#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

#include "cairn/options.hpp"

namespace cairn::policy {

/// Judges whether a job must save and stop now, so that it is done before a moment: by the longest
/// save and the longest of the last steps, with a margin. Answers act one step late.
class TimeLimit {
 public:
  using Seconds = std::chrono::duration<double>;

  /// No limit where there is no moment.
  TimeLimit(std::optional<Time> stop_before, Time now);

  /// How long a step took, saves not counted.
  void saw_step(Seconds seconds);
  /// How long a save took, from its begin until it was durable.
  void saw_save(Seconds seconds);

  /// The longest of the last steps.
  [[nodiscard]] Seconds step() const;

  /// `saves_before`: how many must be waited for before the last one begins: one that is under way,
  /// and one that is due before the answer acts.
  [[nodiscard]] bool must_stop(Time now, int saves_before) const;
  /// From the decision until all is durable, as far as can be told.
  [[nodiscard]] Seconds needed(int saves_before) const;

 private:
  std::optional<Time> stop_before_;
  Seconds first_save_{0};  ///< what a save is taken to need before any was seen
  std::optional<Seconds> longest_save_;
  std::array<Seconds, 8> steps_{};  ///< the last ones
  std::size_t next_step_ = 0;
};

}  // namespace cairn::policy
