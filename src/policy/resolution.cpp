#include "policy/resolution.hpp"

#include <bit>
#include <string>
#include <string_view>

#include "cairn/error.hpp"

namespace cairn::policy {
namespace {

constexpr Count kDefaultSteps = 1;
constexpr Count kDefaultMax = 5;
// Keeping was turned off by hand; the newest is never deleted, so it is what stays.
constexpr Count kLeastMax = 1;

constexpr std::size_t kLeastBlockBytes = std::size_t{64} << 10;
constexpr std::size_t kMostBlockBytes = std::size_t{1} << 30;

[[noreturn]] void refuse(std::string_view setting, const std::string& got, std::string_view takes) {
  throw Error(ErrorCode::invalid_argument,
              std::string(setting) + " is " + got + "; it takes " + std::string(takes));
}

void check_count(std::string_view setting, Count count) {
  if (count.value() < 0) {
    refuse(setting, to_string(count),
           "none or an integer that is not negative; none and 0 turn it off");
  }
}

void check_counts(const CheckpointSettings& given) {
  check_count("save_checkpoint_steps", given.save_checkpoint_steps);
  check_count("save_checkpoint_seconds", given.save_checkpoint_seconds);
  check_count("keep_checkpoint_max", given.keep_checkpoint_max);
  check_count("keep_checkpoint_per_n_minutes", given.keep_checkpoint_per_n_minutes);
}

void check_something_is_on(const CheckpointSettings& given) {
  if (given.save_checkpoint_steps.is_falsy() && given.save_checkpoint_seconds.is_falsy() &&
      given.keep_checkpoint_max.is_falsy() && given.keep_checkpoint_per_n_minutes.is_falsy()) {
    throw Error(ErrorCode::invalid_argument,
                "save_checkpoint_steps, save_checkpoint_seconds, keep_checkpoint_max and "
                "keep_checkpoint_per_n_minutes are " +
                    to_string(given.save_checkpoint_steps) + ", " +
                    to_string(given.save_checkpoint_seconds) + ", " +
                    to_string(given.keep_checkpoint_max) + " and " +
                    to_string(given.keep_checkpoint_per_n_minutes) +
                    ", which turns everything off; together they take at least one number above "
                    "0, or one that is left unset");
  }
}

void check_asynchronous(const CheckpointSettings& given) {
  if (given.lazy_capture && !given.async_save) {
    refuse("lazy_capture", "true without async_save", "true only together with async_save");
  }
  if (given.async_save && given.write.writer == Writer::hdf5) {
    refuse("async_save", "true with the writer hdf5",
           "the writers direct and mpiio: HDF5 is not safe with threads");
  }
}

void check_stale_after(std::chrono::hours stale_after) {
  if (stale_after < std::chrono::hours{0} || stale_after > kLongestWait) {
    refuse("stale_after", std::to_string(stale_after.count()) + " hours",
           "0 to " + std::to_string(kLongestWait.count()) + " hours");
  }
}

void check_exception_save(const CheckpointSettings& settings) {
  const auto timeout = settings.exception_save_timeout;
  if (timeout < std::chrono::seconds{0} || timeout > kLongestWait) {
    refuse("exception_save_timeout", std::to_string(timeout.count()) + " seconds",
           "0 to " + std::to_string(std::chrono::seconds(kLongestWait).count()) + " seconds");
  }
  if (settings.on_save_failure > OnSaveFailure::make_room) {
    refuse("on_save_failure",
           "the number " + std::to_string(static_cast<int>(settings.on_save_failure)),
           "fail, skip or make_room");
  }
}

bool is_on(Count count) {
  return count.value() > 0;
}

/// Turned off either way; unset is read back as none.
Count turned_off(Count given) {
  return given.is_unset() ? none : given;
}

void resolve_trigger(const CheckpointSettings& given, CheckpointPolicy& policy) {
  policy.save_checkpoint_steps = given.save_checkpoint_steps;
  policy.save_checkpoint_seconds = turned_off(given.save_checkpoint_seconds);
  if (given.save_checkpoint_steps.is_unset()) {
    // The original's default of 1 silently beats seconds that were asked for; ours does not.
    policy.save_checkpoint_steps =
        is_on(given.save_checkpoint_seconds) ? Count(none) : kDefaultSteps;
  }
  if (is_on(policy.save_checkpoint_steps)) policy.save_checkpoint_seconds = none;
}

void resolve_retention(const CheckpointSettings& given, CheckpointPolicy& policy) {
  const bool per_minutes = is_on(given.keep_checkpoint_per_n_minutes);
  policy.keep_checkpoint_max = given.keep_checkpoint_max;
  policy.keep_checkpoint_per_n_minutes = turned_off(given.keep_checkpoint_per_n_minutes);
  if (given.keep_checkpoint_max.is_unset()) {
    policy.keep_checkpoint_max = per_minutes ? Count(none) : kDefaultMax;
  }
  if (is_on(policy.keep_checkpoint_max)) {
    policy.keep_checkpoint_per_n_minutes = none;
  } else if (!per_minutes) {
    // Here per-n-minutes is read back as it was given.
    policy.keep_checkpoint_max = kLeastMax;
  }
}

}  // namespace

void check_deadline(std::chrono::seconds deadline) {
  if (deadline <= std::chrono::seconds{0} || deadline > kLongestWait) {
    refuse("deadline", std::to_string(deadline.count()) + " seconds",
           "1 to " + std::to_string(std::chrono::seconds(kLongestWait).count()) + " seconds");
  }
}

void check(const WriteOptions& options) {
  if (options.writer > Writer::mpiio) {
    refuse("writer", "the number " + std::to_string(static_cast<int>(options.writer)),
           "direct, hdf5 or mpiio");
  }
  if (!std::has_single_bit(options.block_bytes) || options.block_bytes < kLeastBlockBytes ||
      options.block_bytes > kMostBlockBytes) {
    refuse("block_bytes", std::to_string(options.block_bytes),
           "a power of two from 65536 (64 KiB) to 1073741824 (1 GiB)");
  }
  check_deadline(options.deadline);
}

CheckpointPolicy resolve(const CheckpointSettings& settings) {
  check_counts(settings);
  check_something_is_on(settings);
  check(settings.write);
  check_asynchronous(settings);
  check_exception_save(settings);
  check_stale_after(settings.stale_after);
  CheckpointPolicy policy;
  resolve_trigger(settings, policy);
  resolve_retention(settings, policy);
  return policy;
}

}  // namespace cairn::policy
