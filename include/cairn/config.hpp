#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cairn/export.hpp"
#include "cairn/listener.hpp"
#include "cairn/options.hpp"

namespace cairn {

/// Says "not this one" where a number could stand.
struct None {
  explicit constexpr None() = default;
};
inline constexpr None none{};

/// A setting that is unset, none, or a number. Unset takes the default; none and 0 both turn the
/// setting off and differ only in how they are read back.
class Count {
 public:
  constexpr Count() noexcept = default;
  constexpr Count(None) noexcept : state_(State::off) {}                          // NOLINT
  constexpr Count(std::int64_t n) noexcept : value_(n), state_(State::number) {}   // NOLINT

  [[nodiscard]] constexpr bool is_unset() const noexcept { return state_ == State::absent; }
  [[nodiscard]] constexpr bool is_none() const noexcept { return state_ == State::off; }
  /// The number; 0 where there is none.
  [[nodiscard]] constexpr std::int64_t value() const noexcept { return value_; }
  /// Set, and to none or 0.
  [[nodiscard]] constexpr bool is_falsy() const noexcept { return !is_unset() && value_ == 0; }

  constexpr bool operator==(const Count&) const noexcept = default;

 private:
  enum class State : std::uint8_t { absent, off, number };
  std::int64_t value_ = 0;
  State state_ = State::absent;
};

/// Local. "unset", "none" or the number.
CAIRN_API std::string to_string(Count count);

/// What one writes. Plain values; `CheckpointConfig` says what they mean together.
struct CheckpointSettings {
  /// Save when step >= last saved step + this. Default 1, unless `save_checkpoint_seconds` is set.
  Count save_checkpoint_steps{};
  /// Save when more than this many seconds passed since the last save. Ignored with steps.
  Count save_checkpoint_seconds{};
  /// How many checkpoints of the series stay. Default 5, unless per-n-minutes is set.
  Count keep_checkpoint_max{};
  /// Keep one checkpoint per this many minutes. Ignored with a maximum.
  Count keep_checkpoint_per_n_minutes{};
  /// true: slices are put together into full tensors, in one HDF5 file written by all ranks at once.
  /// false: a directory with one shard per rank.
  bool integrated_save = true;
  /// Names and epochs need it: epoch = (step - 1) / n + 1. 0: the epoch is always 1.
  std::uint64_t steps_per_epoch = 0;

  /// How files are written.
  WriteOptions write{};
  /// Remains of dead jobs on *other* hosts are removed when they are older than this.
  std::chrono::hours stale_after{24 * 7};
  /// Not owned; must outlive the ModelCheckpoint.
  Listener* listener = nullptr;
  /// Where the time comes from; by default the system's clock, made steady. Asked on rank 0 only.
  std::function<Time()> clock{};
  /// By default a random one, drawn on rank 0.
  std::optional<RunId> run_id{};
};

/// The resolved settings that decide when to save and what to keep.
struct CheckpointPolicy {
  Count save_checkpoint_steps;
  Count save_checkpoint_seconds;
  Count keep_checkpoint_max;
  Count keep_checkpoint_per_n_minutes;

  bool operator==(const CheckpointPolicy&) const = default;
};

/// What the settings mean: validated, resolved, read-only. Throws `invalid_argument` when it is
/// made, naming the setting, what it got and what it takes; or never.
class CAIRN_API CheckpointConfig {
 public:
  explicit CheckpointConfig(CheckpointSettings settings);

  [[nodiscard]] Count save_checkpoint_steps() const noexcept {
    return settings_.save_checkpoint_steps;
  }
  [[nodiscard]] Count save_checkpoint_seconds() const noexcept {
    return settings_.save_checkpoint_seconds;
  }
  [[nodiscard]] Count keep_checkpoint_max() const noexcept { return settings_.keep_checkpoint_max; }
  [[nodiscard]] Count keep_checkpoint_per_n_minutes() const noexcept {
    return settings_.keep_checkpoint_per_n_minutes;
  }
  [[nodiscard]] bool integrated_save() const noexcept { return settings_.integrated_save; }
  [[nodiscard]] std::uint64_t steps_per_epoch() const noexcept { return settings_.steps_per_epoch; }
  [[nodiscard]] CheckpointPolicy get_checkpoint_policy() const;
  /// All settings, the four counts resolved.
  [[nodiscard]] const CheckpointSettings& settings() const noexcept { return settings_; }

 private:
  CheckpointSettings settings_;
};

}  // namespace cairn
