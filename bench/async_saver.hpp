#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "busy_kernel.hpp"
#include "cairn/cairn.hpp"
#include "mapping.hpp"
#include "world.hpp"

namespace bench {

/// Asynchronous saves while a kernel computes, and what each of them costs the thread that trains.
struct AsyncArguments {
  std::string directory;
  std::string prefix;
  std::uint64_t repeat = 1;
  /// Of computing between two saves and, with lazy capture, before a step's update needs the values
  /// captured.
  double step_seconds = 0.5;
};

/// One save. In seconds; of the worst rank.
struct AsyncCost {
  double stall = 0;   ///< in any call of Cairn, from its beginning to its commit
  double memcpy = 0;  ///< of what a rank contributes, all ranks at once
  double total = 0;
  double slowdown = 1;  ///< of the kernel meanwhile
};

/// Saves one state asynchronously, again and again.
class AsyncSaver {
 public:
  /// Collective.
  AsyncSaver(const AsyncArguments& arguments, const World& world, cairn::State& state,
             std::uint64_t slice_bytes, cairn::CheckpointSettings settings);

  /// Collective. From the second save on with the cost of `memcpy`.
  AsyncCost save_once();

  /// Collective. On return the files that the last save replaced are gone.
  void wait() { checkpoint_->wait(); }
  [[nodiscard]] cairn::SaveReport last() const { return checkpoint_->last_report().value(); }
  [[nodiscard]] double checksum() const { return kernel_.checksum(); }

 private:
  using Clock = std::chrono::steady_clock;

  /// When the save under way was committed, as this rank's listener hears it.
  class CommitClock : public cairn::Listener {
   public:
    void committed(const cairn::Event&) override { at_ = Clock::now().time_since_epoch().count(); }
    [[nodiscard]] Clock::time_point at() const { return Clock::time_point(Clock::duration(at_)); }

   private:
    std::atomic<Clock::rep> at_{0};
  };

  /// Copies as much as this rank contributes, into memory that was touched before.
  class CopyOfAShare {
   public:
    /// Collective. Throws Failure where there is no memory.
    CopyOfAShare(const World& world, const cairn::State& state, std::uint64_t bytes);
    double run(const World& world);

   private:
    std::uint64_t bytes_;
    Mapping copy_;  ///< as large pages as what is saved and captured
    std::vector<std::pair<const std::byte*, std::uint64_t>> pieces_;
  };

  AsyncCost compute_and_save();

  const AsyncArguments arguments_;
  const World& world_;
  cairn::State& state_;
  std::uint64_t slice_bytes_;
  bool lazy_;
  std::uint64_t number_ = 0;
  CommitClock commit_;
  BusyKernel kernel_;
  std::optional<CopyOfAShare> copy_;
  std::optional<cairn::ModelCheckpoint> checkpoint_;
};

}  // namespace bench
