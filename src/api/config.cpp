#include "cairn/config.hpp"

#include <utility>

#include "policy/append_info.hpp"
#include "policy/resolution.hpp"
#include "storage/protection.hpp"

namespace cairn {

std::string to_string(Count count) {
  if (count.is_unset()) return "unset";
  if (count.is_none()) return "none";
  return std::to_string(count.value());
}

CheckpointConfig::CheckpointConfig(CheckpointSettings settings) : settings_(std::move(settings)) {
  const CheckpointPolicy resolved = policy::resolve(settings_);
  storage::check({settings_.crc_check, settings_.enc_key, settings_.enc_mode},
                 settings_.write.writer);
  append_dict_ = policy::resolve_append_info(settings_.append_info);
  settings_.save_checkpoint_steps = resolved.save_checkpoint_steps;
  settings_.save_checkpoint_seconds = resolved.save_checkpoint_seconds;
  settings_.keep_checkpoint_max = resolved.keep_checkpoint_max;
  settings_.keep_checkpoint_per_n_minutes = resolved.keep_checkpoint_per_n_minutes;
}

CheckpointPolicy CheckpointConfig::get_checkpoint_policy() const {
  return {settings_.save_checkpoint_steps, settings_.save_checkpoint_seconds,
          settings_.keep_checkpoint_max, settings_.keep_checkpoint_per_n_minutes,
          settings_.saved_network};
}

}  // namespace cairn
