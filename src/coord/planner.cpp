#include "coord/planner.hpp"

#include <string>

#include "coord/file_target.hpp"
#include "coord/lone_target.hpp"
#include "coord/shard_target.hpp"
#include "coord/together.hpp"

namespace cairn::coord {

Planned Planner::plan(const State& state, SaveKind kind, const SaveRequest& request) {
  if (kind == SaveKind::integrated) {
    Planned planned = prepare(plan_, state, make_save_plan);
    planned.value_bytes = plan_->layout.value_bytes;
    planned.target = std::make_unique<FileTarget>(comm_, settings_, request, *plan_);
    return planned;
  }
  if (settings_.write.writer != Writer::direct) {
    throw Error(ErrorCode::invalid_argument,
                "shards are written by the direct writer only, not by " +
                    std::string(to_string(settings_.write.writer)));
  }
  Planned planned = prepare(shard_plan_, state, make_shard_plan);
  planned.value_bytes = shard_plan_->value_bytes;
  planned.target = std::make_unique<ShardTarget>(comm_, settings_, request, *shard_plan_);
  return planned;
}

Planned Planner::plan_alone(const State& state, std::uint64_t block_bytes,
                            const SaveRequest& request) {
  shard_plan_ = make_lone_plan(plan::describe(state), block_bytes);
  fit_staging(block_bytes);
  return {.routes = &shard_plan_->routes,
          .target = std::make_unique<LoneTarget>(comm_, settings_, request, *shard_plan_),
          .tensors = shard_plan_->tensor_count,
          .value_bytes = shard_plan_->value_bytes,
          .plan_bytes = shard_plan_->memory()};
}

/// Where the last plan fits, one small reduction is all.
template <class Plan, class MakePlan>
Planned Planner::prepare(std::optional<Plan>& plan, const State& state, MakePlan&& make) {
  const std::uint64_t block_bytes = settings_.write.block_bytes;
  codec::Digest digest{};
  run_together(comm_, [&] {
    plan::check_entries(state);
    digest = digest_of(state, block_bytes);
  });
  const bool same = plan && plan->digest == digest;
  Planned planned;
  planned.reused = all_of<std::int32_t>(comm_, same ? 1 : 0, MPI_MIN) == 1;
  if (!planned.reused) {
    plan.reset();
    std::vector<plan::Claim> claims;
    run_together(comm_, [&] { claims = plan::describe(state); });
    plan = make(comm_, claims, block_bytes);
    plan->digest = digest;
  }
  fit_staging(plan->layout.block_bytes);
  planned.routes = &plan->routes;
  planned.tensors = plan->tensor_count;
  planned.plan_bytes = plan->memory();
  return planned;
}

void Planner::fit_staging(std::size_t block_bytes) {
  if (staging_ && staging_->block_bytes() == block_bytes) return;
  staging_.reset();
  // All ranks have it then, or none has: what comes next depends on it.
  std::unique_ptr<Staging> fresh;
  run_together(comm_, [&] {
    fresh = std::make_unique<Staging>(block_bytes, settings_.write.staging_bytes);
  });
  staging_ = std::move(fresh);
}

}  // namespace cairn::coord
