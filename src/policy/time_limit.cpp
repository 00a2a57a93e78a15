#include "policy/time_limit.hpp"

#include <algorithm>

namespace cairn::policy {
namespace {

using Seconds = TimeLimit::Seconds;

/// A save may take so much longer than any before it: the device is shared.
constexpr double kMargin = 1.5;
constexpr Seconds kLeast{1};
/// Of a save that was never seen: a minute, or this part of what is left, if that is less.
constexpr Seconds kUnknownSave{60};
constexpr double kPartForUnknown = 0.1;
/// The step under way when the answer is asked for, and the one at whose end it acts.
constexpr double kStepsUntilAnswer = 2;

}  // namespace

TimeLimit::TimeLimit(std::optional<Time> stop_before, Time now) : stop_before_(stop_before) {
  if (!stop_before_) return;
  const Seconds left = std::max(Seconds(*stop_before_ - now), Seconds{0});
  first_save_ = std::min(kUnknownSave, left * kPartForUnknown);
}

void TimeLimit::saw_step(Seconds seconds) {
  steps_[next_step_] = seconds;
  next_step_ = (next_step_ + 1) % steps_.size();
}

void TimeLimit::saw_save(Seconds seconds) {
  longest_save_ = std::max(longest_save_.value_or(Seconds{0}), seconds);
}

Seconds TimeLimit::step() const { return *std::ranges::max_element(steps_); }

Seconds TimeLimit::needed(int saves_before) const {
  const Seconds save = longest_save_ ? *longest_save_ * kMargin : first_save_;
  return save * (saves_before + 1) + step() * kStepsUntilAnswer + kLeast;
}

bool TimeLimit::must_stop(Time now, int saves_before) const {
  return stop_before_ && Seconds(*stop_before_ - now) <= needed(saves_before);
}

}  // namespace cairn::policy
