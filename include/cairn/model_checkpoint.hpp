#pragma once

#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cairn/config.hpp"
#include "cairn/export.hpp"
#include "cairn/save.hpp"
#include "cairn/state.hpp"

namespace cairn {

/// What the training loop should do after a step.
enum class Next : std::uint8_t {
  go_on,  ///< train on
  stop,   ///< all is saved: leave the loop and call `ModelCheckpoint::end`
};

/// The text that checkpoint names begin with, or a function of the step that gives it. Not empty,
/// no '/', not ending in '_' and digits. A function is asked on rank 0 only.
class CAIRN_API Prefix {
 public:
  /// The same text for every step. What is wrong with it, `ModelCheckpoint` says.
  Prefix(const char* text) : text_(text) {}             // NOLINT: a plain text is a prefix
  /// The same text for every step.
  Prefix(std::string text) : text_(std::move(text)) {}  // NOLINT
  /// A text for each step.
  Prefix(std::function<std::string(std::uint64_t step)> function)  // NOLINT
      : function_(std::move(function)) {}

  /// The text for a step; calls the function, where there is one.
  [[nodiscard]] std::string at(std::uint64_t step) const {
    return function_ ? function_(step) : text_;
  }
  /// Whether it is a function.
  [[nodiscard]] bool varies() const noexcept { return bool{function_}; }

 private:
  std::string text_;
  std::function<std::string(std::uint64_t)> function_;
};

/// The directory of the checkpoints; made when missing. With a function of the step (asked on rank
/// 0 only) each step may go to another directory, relative to `root`, which keeps a catalog of the
/// directories used.
class CAIRN_API Directory {
 public:
  /// All checkpoints in this directory.
  Directory(const char* root) : root_(root) {}                       // NOLINT
  /// All checkpoints in this directory.
  Directory(std::string root) : root_(std::move(root)) {}            // NOLINT
  /// All checkpoints in this directory.
  Directory(std::filesystem::path root) : root_(std::move(root)) {}  // NOLINT
  /// The checkpoint of a step in `root / function(step)`.
  Directory(std::filesystem::path root,
            std::function<std::filesystem::path(std::uint64_t step)> function)
      : root_(std::move(root)), function_(std::move(function)) {}

  /// As it was given.
  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// Relative to `root`; empty where that is it.
  [[nodiscard]] std::filesystem::path at(std::uint64_t step) const {
    return function_ ? function_(step) : std::filesystem::path();
  }
  /// Whether there is a function.
  [[nodiscard]] bool varies() const noexcept { return bool{function_}; }

 private:
  std::filesystem::path root_;
  std::function<std::filesystem::path(std::uint64_t)> function_;
};

/// A checkpoint that `restore` passed over.
struct Skipped {
  std::filesystem::path path;  ///< which
  std::string reason;          ///< what was wrong with it, in words
  std::filesystem::path quarantined{};  ///< where it was moved to; empty: it was not
  /// What ranks saved alone, which is not enough, or not of one state; it stays where it is.
  bool saved_alone = false;
};

/// What `restore` did. The same on every rank.
struct Restored : LoadReport {
  std::vector<Skipped> skipped;  ///< newer ones that were damaged, newest first
};

class Run;

/// Saves and restores the state of a training loop by the settings of a `CheckpointConfig`.
/// Rank 0 decides when a save is due and what is deleted; every rank follows. One object is used
/// by one thread at a time. It is made after MPI_Init and destroyed before MPI_Finalize.
class CAIRN_API ModelCheckpoint {
 public:
  /// Collective over `comm`, which is duplicated (this blocks) and never used itself. Throws
  /// `invalid_argument` for bad settings, prefix or directory. Touches no disk.
  ModelCheckpoint(MPI_Comm comm, Prefix prefix = "CKP", Directory directory = ".",
                  CheckpointSettings settings = {});
  /// Collective. The same, with settings that were resolved before.
  ModelCheckpoint(MPI_Comm comm, Prefix prefix, Directory directory, CheckpointConfig config);
  /// Local. What was moved from may only be destroyed or assigned to.
  ModelCheckpoint(ModelCheckpoint&&) noexcept;
  /// Collective, like the destructor of what stood here before.
  ModelCheckpoint& operator=(ModelCheckpoint&&) noexcept;
  /// Collective where MPI still runs, else Local. Never throws. Completes the save that is under way,
  /// within the deadline of each wait; the listener hears how that ended.
  ~ModelCheckpoint();

  /// Collective. Call it after every step, counted from 1 over the whole run. Saves if that is due;
  /// with the step trigger alone a step that is not due costs no message. On Error every rank
  /// throws the same one and the checkpoints on disk are as before.
  ///
  /// With `async_save` the program may change its values as soon as this returns, or, with
  /// `lazy_capture`, as soon as `before_update` has returned. A save that is due while another is
  /// under way waits for that. Where an earlier save failed in the background, the first collective
  /// call that hears of it (the same on every rank) throws its error, once; the next step saves again
  /// (by the seconds trigger, at the latest the one after).
  ///
  /// With `exception_save` a signal to any rank, and with `stop_before` the time limit, lead to a save
  /// on all ranks in this step or the next, and to `Next::stop` from this and every later call.
  [[nodiscard]] Next step_end(std::uint64_t step, const State& state);

  /// Local. To be called before every change of values that are saved, which `step_end` ends: with
  /// `lazy_capture` it waits until the save under way has copied them; else it returns at once. With
  /// `exception_save`, values that an exception finds between the two are not saved.
  void before_update();

  /// Collective. Waits until the last asynchronous save is durable, and retention after it is done;
  /// false where the timeout of any rank passed before the save was done; committing and retention
  /// come on top of it. Throws the error of that save.
  bool wait(std::chrono::milliseconds timeout = std::chrono::milliseconds::max());

  /// Collective. The loop is over: completes what is under way, and saves, unless that step is saved
  /// already. On return all is durable. The error of an asynchronous save before it is thrown last.
  void end(std::uint64_t step, const State& state);

  /// Collective. Saves now, whatever the trigger says; a checkpoint of the same step is replaced.
  /// On return it is complete and durable, `async_save` or not.
  SaveReport save(std::uint64_t step, const State& state);

  /// Collective. Fills `state` from the newest good checkpoint: of the series with the highest
  /// number that has any, or of `series` where it is given. Falls back to older ones on damage
  /// only, and says so. Nothing where there is no checkpoint at all: `state` is unchanged. The run
  /// then continues that series. Throws `damaged` where there are checkpoints and none is good.
  std::optional<Restored> restore(State& state, const LoadOptions& options = {},
                                  std::optional<std::string> series = std::nullopt);

  /// Runs the training loop. Where an exception leaves it, and with `exception_save`, the state is
  /// saved as a breakpoint before the exception goes on. Where all ranks leave within
  /// `exception_save_timeout`, after the same step, that is a save like any other, and this object is
  /// as whole as before. Else each rank writes the slices it holds into a file of its own, which
  /// `restore` puts together where they are enough; this object is broken then, ranks that wait for
  /// this one in a call throw `unresponsive`, and the program should end by MPI_Abort.
  template <class Loop>
  void guard(const State& state, Loop&& loop) {
    try {
      std::forward<Loop>(loop)();
    } catch (...) {
      leave(state, std::current_exception());
      throw;
    }
  }
  /// What `guard` does where an exception leaves the loop. Nothing without `exception_save`. Errors of
  /// its own are told to the listener. `by`: the exception, where it is at hand. One that came out of a
  /// call at the end of a step left the values of that step as they are; of others, and where nobody
  /// knows, only `before_update` says whether values were being changed.
  void leave(const State& state, const std::exception_ptr& by = nullptr) noexcept;

  /// Local. What the last committed save of this object did, with the seconds of each phase; nothing
  /// before it.
  [[nodiscard]] std::optional<SaveReport> last_report() const;

  /// Local. The newest committed checkpoint that this object saved or restored. With `async_save` it
  /// moves in the collective call that finds the save durable.
  [[nodiscard]] std::optional<std::filesystem::path> latest() const;

  /// Local. The settings, resolved.
  [[nodiscard]] const CheckpointConfig& config() const noexcept;

 private:
  std::unique_ptr<Run> run_;
};

/// `ModelCheckpoint::guard` for the scope that it is made in: leaving it by an exception, which must
/// be caught somewhere, is leaving the training loop. A destructor is not told which exception it is.
class CAIRN_API ExceptionGuard {
 public:
  /// Local. Both must outlive it.
  ExceptionGuard(ModelCheckpoint& checkpoint, const State& state) noexcept;
  ExceptionGuard(const ExceptionGuard&) = delete;
  ExceptionGuard& operator=(const ExceptionGuard&) = delete;
  /// Local, unless an exception leaves the scope: then as `ModelCheckpoint::leave`.
  ~ExceptionGuard();

 private:
  ModelCheckpoint& checkpoint_;
  const State& state_;
  int exceptions_;
};

}  // namespace cairn
