#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "cairn/error.hpp"
#include "cairn/export.hpp"

namespace cairn {

/// The parts of a save, in this order. A load goes through `planning` and `moving` only.
enum class Phase : std::uint8_t {
  planning,    ///< who sends what to whom; the file's structure
  capturing,   ///< with `async_save`: what this rank contributes is copied
  reserving,   ///< the temporary file gets its final length
  moving,      ///< slices to block owners, blocks to the disk
  syncing,     ///< every writer waits for the device
  completing,  ///< rank 0 writes and syncs what has to wait for that, if anything
  publishing,  ///< one rename, and the directory's sync
  retaining,   ///< the new checkpoint is durable; old ones may go
};

/// How many phases there are; they count from 0.
inline constexpr std::size_t kPhaseCount = 8;

/// Local. The name as it stands above: "moving".
CAIRN_API std::string_view to_string(Phase phase) noexcept;

/// One thing that happened, as this rank sees it.
struct Event {
  std::filesystem::path path;  ///< the checkpoint it is about, under its final name
  std::uint64_t step = 0;      ///< that it was saved after
  std::uint64_t sequence = 0;  ///< counts the checkpoints of a series
  std::uint64_t bytes = 0;     ///< of the whole checkpoint, once known
  int rank = 0;                ///< who tells this, in the communicator of the call
  /// This rank saves what it holds by itself: it left the training loop without the others.
  bool alone = false;
  /// Of this rank, indexed by `Phase`: those that are over.
  std::array<double, kPhaseCount> seconds{};
  /// What this rank's program waited for this save, so far: all of it, but with `async_save`.
  double stall_seconds = 0;
};

/// What users log, plot or test with. Each rank hears its own events, never two at once: on the
/// thread that is inside a Cairn call or, with `async_save`, on one of Cairn's that runs meanwhile.
/// A listener must not call the object that it listens to; what it throws is dropped. One that listens
/// to several objects hears one event of each at a time.
class CAIRN_API Listener {
 public:
  /// Whoever made it destroys it, after all that listens.
  virtual ~Listener() = default;

  /// A save began; `committed` or `failed` will follow.
  virtual void started(const Event&) {}
  /// This rank enters `phase`.
  virtual void phase(const Event&, Phase phase) { (void)phase; }
  /// The state's values were taken: the program may change them.
  virtual void captured(const Event&) {}
  /// With `async_save`: a call waited for the save before, which the event is about.
  virtual void waited(const Event&, double seconds) { (void)seconds; }
  /// The checkpoint is complete and durable.
  virtual void committed(const Event&) {}
  /// A save ended without a new checkpoint, by the error that the call throws next; with
  /// `async_save`, that the next collective call throws.
  virtual void failed(const Event&, const Error& error) { (void)error; }
  /// All ranks save after this step and stop: a signal asked for it ("SIGUSR1"), or the time limit is
  /// near. The event has step and rank.
  virtual void stopping(const Event&, std::string_view reason) { (void)reason; }
  /// Rank 0 only: retention removed this one, or a stale file.
  virtual void deleted(const Event&) {}
  /// Passed over, with the reason: by `restore`, or a deletion that failed (rank 0 only); or a
  /// breakpoint that was not saved, without a path.
  virtual void skipped(const Event&, std::string_view reason) { (void)reason; }
};

}  // namespace cairn
