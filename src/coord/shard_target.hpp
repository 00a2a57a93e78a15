#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "coord/shard_plan.hpp"
#include "coord/target.hpp"

namespace cairn::coord {

/// A directory with a file for each rank and an index.
class ShardTarget final : public Target {
 public:
  ShardTarget(const Comm& comm, const Settings& settings, const SaveRequest& request,
              const ShardPlan& plan)
      : Target(comm, settings, request), plan_(plan) {}

  void reserve() override;
  [[nodiscard]] std::vector<SliceAccess> slices(
      std::span<const State::Entry> entries) const override;
  storage::BlockSink& open_sink() override { return open_file_sink(); }
  void finish_own() override;
  void complete() override;

 private:
  [[nodiscard]] std::unique_ptr<storage::ImageWriter> make_writer(
      const storage::ImageLayout& layout, std::uint64_t shard) const;
  void create_directory();
  void create_shard();

  const ShardPlan& plan_;
  std::optional<storage::PosixFile> index_;             ///< rank 0 only
  std::unique_ptr<storage::ImageWriter> index_writer_;  ///< rank 0 only
};

}  // namespace cairn::coord
