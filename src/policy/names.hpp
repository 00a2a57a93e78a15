#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cairn/options.hpp"

// The names of everything that Cairn puts into a checkpoint directory:
//
//   <series>-<epoch>_<step>[_breakpoint]<suffix>[.replaced]    a checkpoint
//   <series>-<epoch>_<step>_breakpoint.rank<r>of<n>.shard[.enc][.replaced]    saved alone
//   .tmp-<run>-<host>-<pid>-<job>-<final name>                 one that is being written
//   .trash-<run>-<host>-<pid>-<job>-<final name>               one that is being deleted
//   .lock-<series>                                             held while a run uses the series
//
// where <series> is <prefix> or <prefix>_<number>. Each parse function takes exactly what its
// format function gives (no leading zeros, no signs, nothing that overflows), so that a foreign
// file is never taken for one of ours: format(*parse(name)) == name.

namespace cairn::policy {

/// Bytes that every file system takes as a file name.
inline constexpr std::size_t kMaxFileNameBytes = 255;
/// So long that every name that derives from a prefix fits; names.cpp adds it up.
inline constexpr std::size_t kMaxPrefixBytes = 64;
/// A series number has nine digits at most.
inline constexpr unsigned kMaxSeriesNumber = 999'999'999;
/// The most that is kept of a host's or a job's name.
inline constexpr std::size_t kMaxFieldBytes = 32;

/// Throws `invalid_argument` unless `prefix` can begin checkpoint names: 1 to `kMaxPrefixBytes`
/// bytes, no '/' and no NUL, not beginning with '.' (such names are Cairn's own) and not ending in
/// '_' and digits (such names are the later series of another prefix).
void check_prefix(std::string_view prefix);

struct EpochStep {
  std::uint64_t epoch = 1;
  std::uint64_t step_in_epoch = 0;

  bool operator==(const EpochStep&) const = default;
};

/// Where global step `step`, counted from 1, lies in epochs of `steps_per_epoch` steps, both
/// counted from 1. Without steps per epoch all is epoch 1. Step 0, a state saved before any
/// training, is step 0 of epoch 1.
EpochStep epoch_step(std::uint64_t step, std::uint64_t steps_per_epoch);

/// What kind of thing bears the name. The kinds of one stem are one checkpoint.
enum class Kind : std::uint8_t {
  file,    ///< .h5: one plain HDF5 file
  sealed,  ///< .h5.enc: one encrypted file
  shards,  ///< .shards: a directory with one file per rank
};

std::string_view suffix(Kind kind) noexcept;

struct CheckpointName {
  /// Not empty, no '/' and no NUL, not beginning with '.'. May hold '-' and '_'.
  std::string series{};
  std::uint64_t epoch = 1;
  std::uint64_t step_in_epoch = 0;
  bool breakpoint = false;  ///< saved because the loop ended by an exception or a signal
  Kind kind = Kind::file;
  bool replaced = false;  ///< the same step was saved again; still good until that is published

  bool operator==(const CheckpointName&) const = default;
};

std::string format(const CheckpointName& name);
/// The name without suffix and without ".replaced": equal for all that are one checkpoint.
std::string stem(const CheckpointName& name);
std::optional<CheckpointName> parse_checkpoint_name(std::string_view name);

/// What a rank that left the training loop alone wrote, or all of those together.
struct LoneName {
  std::string series{};
  std::uint64_t epoch = 1;
  std::uint64_t step_in_epoch = 0;
  std::optional<std::uint64_t> rank{};  ///< below `ranks`; nothing: all of them, written as '*'
  std::uint64_t ranks = 1;
  bool sealed = false;

  bool operator==(const LoneName&) const = default;
};

std::string format(const LoneName& name);
std::optional<LoneName> parse_lone_name(std::string_view name);
/// The name that a breakpoint of that step has, of any kind.
CheckpointName breakpoint_of(const LoneName& name);

/// `prefix` for number 0, else `prefix`_`number`.
std::string series_name(std::string_view prefix, unsigned number);
/// The number of `series` among those of `prefix`; nothing where it is not one of them. A number
/// above `kMaxSeriesNumber` is none.
std::optional<unsigned> series_number(std::string_view prefix, std::string_view series);
/// The number that a fresh run takes in a directory that holds `found`: 0 where no series of
/// `prefix` has a checkpoint of any kind, else one above the highest. Throws `invalid_argument`
/// where that would be above `kMaxSeriesNumber`.
unsigned fresh_series_number(std::string_view prefix, std::span<const CheckpointName> found);

/// A host's or job's name as it stands in temporary names: at most `kMaxFieldBytes` of letters,
/// digits, '.' and '_'; other bytes become '_', the empty name "0". A longer name ends in a digest
/// of all of it instead, because the nodes of one cluster often differ at the end only.
std::string sanitised(std::string_view text);

/// A name that no reader looks at, and whose it is.
struct TemporaryName {
  bool trash = false;  ///< is being deleted, not written
  /// The first 16 digits of `to_hex(run id)`.
  std::string run{};
  std::string host{};
  std::uint64_t pid = 0;
  /// The batch job's id, with its step or array element; empty: none.
  std::string job{};
  /// The name that it will have, or had.
  std::string final_name{};

  bool operator==(const TemporaryName&) const = default;
};

/// Sanitises host and job; the rest must be well-formed.
std::string format(const TemporaryName& name);
/// `host` and `job` are `sanitised` ones then; `job` is empty for none, which equals no sanitised
/// name: two programs outside of any batch job are not of one job.
std::optional<TemporaryName> parse_temporary_name(std::string_view name);

std::string lock_name(std::string_view series);
/// The series that the lock is about.
std::optional<std::string> parse_lock_name(std::string_view name);

/// 32 lowercase hexadecimal digits.
std::string to_hex(const RunId& id);

}  // namespace cairn::policy
