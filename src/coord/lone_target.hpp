#pragma once

#include <vector>

#include "coord/shard_plan.hpp"
#include "coord/target.hpp"

namespace cairn::coord {

/// The file of one rank that was left alone: published by itself.
class LoneTarget final : public Target {
 public:
  /// The conversation is that of the rank with itself.
  LoneTarget(const Comm& self, const Settings& settings, const SaveRequest& request,
             const ShardPlan& plan)
      : Target(self, settings, request), plan_(plan) {}

  void reserve() override;
  [[nodiscard]] std::vector<SliceAccess> slices(
      std::span<const State::Entry> entries) const override;
  storage::BlockSink& open_sink() override { return open_file_sink(); }
  void finish_own() override;
  void complete() override {}  // nothing of other ranks is missing

 private:
  const ShardPlan& plan_;
};

}  // namespace cairn::coord
