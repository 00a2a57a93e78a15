#pragma once

#include <mpi.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <optional>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/background.hpp"
#include "coord/comm.hpp"
#include "coord/planner.hpp"
#include "coord/supply.hpp"
#include "coord/target.hpp"
#include "storage/aligned_buffer.hpp"
#include "storage/trash.hpp"

namespace cairn::coord {

/// Runs saves from beginning to end on a communicator of its own, one after the other, and keeps
/// what the next one can use again: the plan and the buffers. saver.cpp tells the whole story.
class Saver {
 public:
  /// Collective; blocks.
  Saver(MPI_Comm comm, const WriteOptions& options, storage::Protection protection = {});
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  /// Waits for what is under way in the background, but publishes nothing more.
  ~Saver();

  /// What the caller does after a commit, when it is durable: by whatever thread, without MPI.
  using Afterwards = std::function<void(const SaveRequest& agreed, const SaveReport&)>;

  /// What to save, and who hears of it.
  struct Job {
    const State& state;
    SaveRequest request;
    SaveKind kind = SaveKind::integrated;
    Listener* listener = nullptr;
    Afterwards afterwards{};
    /// The save belongs to a series of increments: marks of change in MapParameters are taken and, by
    /// a commit, cleared. The request says whether this is one, where it can be.
    bool incremental = false;
    // With `SaveKind::lone`, on a conversation of a rank with itself:
    std::uint64_t lone_block_bytes = 0;
    int lone_rank = 0;  ///< in the conversation of all
  };
  /// When an asynchronous save takes the values.
  struct Capturing {
    bool lazy = false;   ///< in the background; else before `start` returns
    bool check = false;  ///< lazy: find tensors that changed too early
  };

  /// Collective. The whole save: on return it is durable, every rank knows, and `afterwards` is done.
  SaveReport save(const Job& job);

  /// Collective. Begins a save and returns when its values are captured or, lazily, before. What the
  /// job refers to must stay until `finish`, the values until `wait_captured`. None may be under way.
  void start(const Job& job, Capturing capturing);
  /// Whether `start` returned and `finish` was not called. The same on every rank.
  [[nodiscard]] bool under_way() const noexcept { return under_way_; }
  /// Local. Whether this rank is ready for a `finish` that need not wait for itself.
  [[nodiscard]] bool ready() const { return background_.idle(); }
  [[nodiscard]] bool wait_ready(std::chrono::milliseconds timeout) const {
    return background_.wait_for(timeout);
  }
  /// Local. Returns when the values of the save under way, if any, may change.
  void wait_captured() const;
  /// Collective. Ends the save that is under way: it is committed then, or its error is thrown.
  /// `waits`: the caller had not wanted to end it yet; the listener hears how long that took.
  SaveReport finish(bool waits);
  /// Local. On return `afterwards` is done, and no name is left of what was deleted.
  void wait_cleaned() const { background_.wait(); }
  /// Local. On return nothing runs in the background, and what was deleted takes no room any more.
  void rest() const {
    background_.wait();
    trash_.wait();
  }
  /// For what `afterwards` deletes.
  [[nodiscard]] storage::Trash& trash() noexcept { return trash_; }
  /// Local. Ranks are gone: this one makes no more calls, whatever is under way.
  void abandon() const noexcept { comm_.give_up(); }
  /// Local. Whether a save that is under way ends by itself, on all ranks that live: MPI takes calls
  /// of the thread in the background.
  [[nodiscard]] bool ends_by_itself() const noexcept { return threads_; }

  [[nodiscard]] const Comm& comm() const noexcept { return comm_; }
  /// Local. What rank 0 decided of the last save that was begun.
  [[nodiscard]] const SaveRequest& last_request() const noexcept { return last_request_; }
  /// Local, and the same on all ranks. Whether a save was begun, since the last call, that had another
  /// structure than the one before it.
  [[nodiscard]] bool take_structure_news() noexcept {
    return std::exchange(structure_is_new_, false);
  }

 private:
  struct Attempt;

  void begin(const Job& job);
  void check_asynchronous() const;
  void prepare_capture();
  void take_values();
  void release_values();
  void reserve();
  void exchange();
  std::optional<Error> move_live();
  std::optional<Error> move(Supply& supply, storage::BlockSink& sink);
  void write_all();
  storage::BlockSink& open_sink();
  void sync();
  void commit();
  void report();
  void clean_up();
  void work_alone();
  void work_together();
  template <class Step>
  void watch(Step&& step);
  Error give_up();

  Comm comm_;
  Target::Settings settings_;
  bool threads_ = false;  ///< MPI takes calls of any thread, on every rank
  Planner planner_;
  storage::AlignedBuffer capture_memory_;
  storage::Trash trash_;  ///< rank 0 only
  std::unique_ptr<Attempt> attempt_;
  SaveRequest last_request_;
  bool structure_is_new_ = false;  ///< since somebody took the news
  bool under_way_ = false;
  Background background_;  // last: its job uses the rest
};

}  // namespace cairn::coord
