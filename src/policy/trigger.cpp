#include "policy/trigger.hpp"

#include "policy/elapsed.hpp"

namespace cairn::policy {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

bool steps_due(const CheckpointPolicy& policy, std::uint64_t step, std::uint64_t last_saved_step) {
  const std::int64_t steps = policy.save_checkpoint_steps.value();
  return steps > 0 && step > last_saved_step &&
         step - last_saved_step >= static_cast<std::uint64_t>(steps);
}

bool seconds_due(const CheckpointPolicy& policy, Time now, Time last) {
  const std::int64_t seconds = policy.save_checkpoint_seconds.value();
  if (seconds <= 0) return false;
  // Dividing the elapsed time instead of multiplying the setting cannot overflow.
  const std::uint64_t elapsed = elapsed_ns(last, now);
  const auto limit = static_cast<std::uint64_t>(seconds);
  return elapsed / kNsPerSecond > limit ||
         (elapsed / kNsPerSecond == limit && elapsed % kNsPerSecond > 0);
}

bool needs_reduction(const CheckpointSettings& resolved) {
  return resolved.save_checkpoint_seconds.value() > 0 || resolved.exception_save ||
         resolved.stop_before.has_value();
}

}  // namespace cairn::policy
