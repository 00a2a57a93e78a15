#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "coord/save_plan.hpp"
#include "coord/shard_plan.hpp"
#include "coord/staging.hpp"
#include "coord/target.hpp"

namespace cairn::coord {

/// What is decided before a save moves anything.
struct Planned {
  const plan::Routes* routes = nullptr;
  std::unique_ptr<Target> target;
  std::uint64_t tensors = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t plan_bytes = 0;  ///< that this rank holds
  bool reused = false;           ///< the structure was that of the last save
};

/// Plans saves, and keeps what the next one can use again: the plans, and buffers of their size.
class Planner {
 public:
  /// Both must outlive it, and what it gives.
  Planner(const Comm& comm, const Target::Settings& settings) : comm_(comm), settings_(settings) {}

  /// Collective. What it returns refers to the plan, and to `request`; the plan stays until the next
  /// call. Throws `layout` or `invalid_argument`.
  Planned plan(const State& state, SaveKind kind, const SaveRequest& request);
  /// Local. The same for the one rank of a conversation with itself.
  Planned plan_alone(const State& state, std::uint64_t block_bytes, const SaveRequest& request);

  /// Of the plan's block size.
  [[nodiscard]] Staging& staging() const noexcept { return *staging_; }
  /// Leaves the buffers alone for ever: somebody may still write into them.
  void forsake_buffers() noexcept { static_cast<void>(staging_.release()); }

 private:
  template <class Plan, class MakePlan>
  Planned prepare(std::optional<Plan>& plan, const State& state, MakePlan&& make);
  void fit_staging(std::size_t block_bytes);

  const Comm& comm_;
  const Target::Settings& settings_;
  std::optional<SavePlan> plan_;
  std::optional<ShardPlan> shard_plan_;
  std::unique_ptr<Staging> staging_;
};

}  // namespace cairn::coord
