#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cairn/append_info.hpp"
#include "cairn/export.hpp"
#include "cairn/key.hpp"
#include "cairn/listener.hpp"
#include "cairn/options.hpp"

namespace cairn {

class State;

/// Says "not this one" where a number could stand.
struct None {
  explicit constexpr None() = default;
};
/// The only `None` there is: `{.keep_checkpoint_max = cairn::none}`.
inline constexpr None none{};

/// A setting that is unset, none, or a number. Unset takes the default; none and 0 both turn the
/// setting off and differ only in how they are read back.
class Count {
 public:
  /// Unset.
  constexpr Count() noexcept = default;
  /// Off.
  constexpr Count(None) noexcept : state_(State::off) {}  // NOLINT: `= none` reads well
  /// A number; whether it is one that the setting takes, `CheckpointConfig` says.
  constexpr Count(std::int64_t n) noexcept : value_(n), state_(State::number) {}  // NOLINT

  /// Neither none nor a number was given: the default holds.
  [[nodiscard]] constexpr bool is_unset() const noexcept { return state_ == State::absent; }
  /// None was given; false for 0, which is a number.
  [[nodiscard]] constexpr bool is_none() const noexcept { return state_ == State::off; }
  /// The number; 0 where there is none.
  [[nodiscard]] constexpr std::int64_t value() const noexcept { return value_; }
  /// Set, and to none or 0.
  [[nodiscard]] constexpr bool is_falsy() const noexcept { return !is_unset() && value_ == 0; }

  /// Whether both were given alike: none and 0 differ.
  constexpr bool operator==(const Count&) const noexcept = default;

 private:
  enum class State : std::uint8_t { absent, off, number };
  std::int64_t value_ = 0;
  State state_ = State::absent;
};

/// Local. "unset", "none" or the number.
CAIRN_API std::string to_string(Count count);

/// What happens when a periodic save fails because of the disk: no space, or an error of input and
/// output. All ranks do the same.
enum class OnSaveFailure : std::uint8_t {
  /// `step_end` throws, and the next one saves again.
  fail,
  /// `step_end` goes on; only the listener hears. The next try comes as if this one had worked.
  skip,
  /// Without space: the oldest checkpoint goes that retention might delete, never the newest good one,
  /// and the save is tried again, until it fits or none is left to go: then as `fail`. So too in
  /// `save` and `end`. All other failures: as `fail`.
  make_room,
};

/// Local. The name as it stands above.
CAIRN_API std::string_view to_string(OnSaveFailure what) noexcept;

/// Local. When the batch job ends that this process is in, as far as the environment says so
/// (SLURM_JOB_END_TIME, which Slurm sets from version 23.02 on): for `stop_before`. Nothing: it does
/// not. Throws `invalid_argument` where that is no time.
CAIRN_API std::optional<Time> batch_job_end();

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
  /// What every checkpoint holds beside the state, in a group of its own: the counters "epoch_num"
  /// and "step_num", and at most one dictionary. There an integer under the name of a counter is
  /// added to it. Plain values must be the same on every rank; tensors are stored as they are at
  /// each save, and filled by `restore`. They and their memory must outlive the ModelCheckpoint.
  std::vector<AppendItem> append_info{};
  /// true: `step_end` returns as soon as the values are captured, in memory of the size of what this
  /// rank contributes; a thread of Cairn's does the rest. At most one save is under way; the next
  /// waits for it. Its error is thrown by the next collective call. Not with the writer `hdf5`.
  /// MPI_THREAD_MULTIPLE makes it faster: below, ranks exchange values before `step_end` returns, and
  /// a later call commits.
  bool async_save = false;
  /// With `async_save`: `step_end` does not even wait for the capture; `before_update` does, and must
  /// be called before anything changes values that are saved. Callbacks are called by Cairn's thread.
  /// Needs MPI_THREAD_MULTIPLE, unless nothing is exchanged between ranks (shards).
  bool lazy_capture = false;
  /// With `lazy_capture`: fail saves whose values changed before they were captured, naming the
  /// tensor. Reads all values twice: for debugging.
  bool check_capture = false;
  /// Another state, saved in place of the one that `save`, `step_end` and `end` are given, which is
  /// not looked at then; if nothing trains it, its initial values are saved. `restore` fills the
  /// state that it is given. On every rank or on none. Not owned: it and the memory that it names
  /// must outlive the ModelCheckpoint, and do not change during a save.
  const State* saved_network = nullptr;
  /// A key: checkpoints are encrypted, names, shapes and records included. Not with `crc_check`.
  Key enc_key{};
  /// With `enc_key` only. The key has 16, 24 or 32 bytes for AES, 16 for SM4.
  EncMode enc_mode = EncMode::aes_gcm;
  /// true: CRC-32 of all values at a save; `restore` then refuses checkpoints without. Those that
  /// have CRCs are checked at every load, whatever this says.
  bool crc_check = false;
  /// true: the state is saved as a breakpoint, which retention never deletes, when the training loop
  /// ends by an exception (`ModelCheckpoint::guard`, `ExceptionGuard`) or a signal asks for it:
  /// SIGTERM, SIGINT, SIGUSR1, SIGUSR2. Handlers of this process's are called too; a signal that it
  /// ignores stays ignored. A second SIGINT ends the process at once. Each step costs one small
  /// reduction that it does not wait for.
  bool exception_save = false;
  /// How long a rank that leaves the loop by an exception waits for the others to do so, before it
  /// writes what it holds by itself.
  std::chrono::seconds exception_save_timeout{60};
  /// Save, and say stop, while there is time for it before this moment of the system's clock: judged
  /// by how long saves and steps took, with a margin. Rank 0's counts. A checkpoint like any other.
  std::optional<Time> stop_before{};
  /// The same on every rank.
  OnSaveFailure on_save_failure = OnSaveFailure::fail;
  /// true: a `restore` that succeeded renames the damaged checkpoints it passed over to
  /// `<name>.damaged`, which nothing reads or deletes any more. false: they stay where they are.
  bool quarantine_damaged = false;
  /// true: of the MapParameters in a State, a save stores only what changed since the checkpoint before
  /// it, as an *increment*; tensors are stored whole each time. The first save of a series is full;
  /// so is one after 64 increments, or when these have stored as many bytes of entries as the full
  /// one, or when a map is not as it was after the last save or restore of this series plus what its
  /// own `put`, `erase` and `clear` did, or after a restore by another key. An increment can be loaded
  /// while all that it goes back to is there: retention deletes such a chain only as a whole, and
  /// `keep_checkpoint_max` may be exceeded by that.
  bool incremental = false;
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

/// Local. Settings from the text of a JSON object, for a program to add what JSON cannot carry:
/// `{"save_checkpoint_steps": 100, "enc_key": {"hex": "…"}}`. Names are those of the members, of
/// `write` too; `deadline_seconds` and `stale_after_hours` say their unit. What is not named keeps
/// its default; null is none. Throws `invalid_argument` for a name that is unknown (listing the
/// valid ones) or given twice, another type than the setting's, and what JSON cannot carry. Quotes
/// no key. `text`, and what the parser keeps of it, is ordinary memory: `read_key_file` leaves no
/// copies.
CAIRN_API CheckpointSettings settings_from_json(std::string_view text);

/// The resolved settings that decide when to save, what to keep and what to save.
struct CheckpointPolicy {
  Count save_checkpoint_steps;          ///< steps between saves; off where seconds decide
  Count save_checkpoint_seconds;        ///< seconds between saves; off where steps decide
  Count keep_checkpoint_max;            ///< how many stay; off where minutes decide
  Count keep_checkpoint_per_n_minutes;  ///< one per so many stays; off where a maximum decides
  const State* saved_network = nullptr;  ///< saved in place of the trained state; null: none

  /// Whether all five are alike; of `saved_network`, whether it is the same object.
  bool operator==(const CheckpointPolicy&) const = default;
};

/// What the settings mean: validated, resolved, read-only. Throws `invalid_argument` when it is
/// made, naming the setting, what it got and what it takes; or never.
class CAIRN_API CheckpointConfig {
 public:
  /// Local. Resolves what is unset. Throws `invalid_argument`.
  explicit CheckpointConfig(CheckpointSettings settings);
  /// Local. Of `settings_from_json(text)`. Throws `invalid_argument`.
  static CheckpointConfig from_json(std::string_view text);

  /// Resolved, as in `CheckpointPolicy`; so are the next three.
  [[nodiscard]] Count save_checkpoint_steps() const noexcept {
    return settings_.save_checkpoint_steps;
  }
  /// See `CheckpointPolicy`.
  [[nodiscard]] Count save_checkpoint_seconds() const noexcept {
    return settings_.save_checkpoint_seconds;
  }
  /// See `CheckpointPolicy`.
  [[nodiscard]] Count keep_checkpoint_max() const noexcept { return settings_.keep_checkpoint_max; }
  /// See `CheckpointPolicy`.
  [[nodiscard]] Count keep_checkpoint_per_n_minutes() const noexcept {
    return settings_.keep_checkpoint_per_n_minutes;
  }
  /// One file of full tensors, not shards.
  [[nodiscard]] bool integrated_save() const noexcept { return settings_.integrated_save; }
  /// What `append_info` says, as one dictionary: a counter with what is added to it, which is 0
  /// where only its name was given. (The name is that of MindSpore's attribute.)
  [[nodiscard]] const AppendDict& append_dict() const noexcept { return append_dict_; }
  /// Whether `step_end` leaves saves to the background.
  [[nodiscard]] bool async_save() const noexcept { return settings_.async_save; }
  /// Null where the trained state is saved.
  [[nodiscard]] const State* saved_network() const noexcept { return settings_.saved_network; }
  /// None where checkpoints are plain.
  [[nodiscard]] const Key& enc_key() const noexcept { return settings_.enc_key; }
  /// Of no consequence without a key.
  [[nodiscard]] EncMode enc_mode() const noexcept { return settings_.enc_mode; }
  /// Whether saves take CRCs and restores ask for them.
  [[nodiscard]] bool crc_check() const noexcept { return settings_.crc_check; }
  /// Whether saves of MapParameters are increments: `incremental`. (The name is that of MindSpore's
  /// attribute.)
  [[nodiscard]] bool map_param_inc() const noexcept { return settings_.incremental; }
  /// Whether exceptions and signals lead to a breakpoint.
  [[nodiscard]] bool exception_save() const noexcept { return settings_.exception_save; }
  /// 0 where the epoch is always 1.
  [[nodiscard]] std::uint64_t steps_per_epoch() const noexcept { return settings_.steps_per_epoch; }
  /// Local. The four and `saved_network`. (The name is that of MindSpore's method.)
  [[nodiscard]] CheckpointPolicy get_checkpoint_policy() const;
  /// All settings, the four counts resolved.
  [[nodiscard]] const CheckpointSettings& settings() const noexcept { return settings_; }

 private:
  CheckpointSettings settings_;
  AppendDict append_dict_;
};

/// Local. A line for each setting, resolved: "save_checkpoint_steps: 100". Of a key, its length.
CAIRN_API std::string to_string(const CheckpointConfig& config);
/// Local. The same.
CAIRN_API std::ostream& operator<<(std::ostream& out, const CheckpointConfig& config);

}  // namespace cairn
