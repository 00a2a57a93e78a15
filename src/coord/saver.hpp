#pragma once

#include <mpi.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "coord/progress.hpp"
#include "coord/save_plan.hpp"
#include "coord/shard_plan.hpp"
#include "coord/staging.hpp"
#include "storage/commit.hpp"
#include "storage/protection.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// Runs saves from beginning to end on a communicator of its own, and keeps what the next one can
/// use again: the plan and the buffers.
class Saver {
 public:
  /// Collective; blocks.
  Saver(MPI_Comm comm, const WriteOptions& options, storage::Protection protection = {});
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  ~Saver();

  /// What rank 0 decides of a save; what the other ranks pass is ignored.
  struct Request {
    std::filesystem::path path;
    storage::Record record;
  };
  /// One file of full tensors, or a directory with a file per rank.
  enum class Kind : bool { integrated, shards };

  /// Collective. The whole save up to the point where it is durable and every rank knows.
  SaveReport save(const State& state, const Request& request, Kind kind, Listener* listener);

  [[nodiscard]] const Comm& comm() const noexcept { return comm_; }

 private:
  struct Target;

  Request agree_on(const Request& request) const;
  SaveReport run_integrated(const State& state, const Request& request, Progress& progress);
  SaveReport run_shards(const State& state, const Request& request, Progress& progress);
  std::vector<plan::Claim> describe(const State& state) const;
  template <class Plan, class MakePlan>
  bool prepare(std::optional<Plan>& plan, std::span<const plan::Claim> claims, MakePlan&& make);
  void check_writer(const std::filesystem::path& path) const;
  void open(Target& target) const;
  void agree_on_direct(Target& target) const;
  std::optional<Error> sync(Target& target, std::optional<Error> error) const;
  void gather_marks(Target& target) const;
  void publish(Target& target, Progress& progress);
  SaveReport finish(SaveReport report, const Target& target, const Progress& progress,
                    const plan::Routes& routes, std::uint64_t plan_bytes) const;

  Target reserve_file(const Request& request);
  std::optional<Error> move_to_file(const State& state, Target& target);
  void complete_file(Target& target, const storage::Record& record);
  Target reserve_shard(const Request& request);
  std::uint64_t bytes_of_shards(const Target& target) const;
  std::optional<Error> move_to_shard(const State& state, Target& target,
                                     const storage::Record& record);
  void complete_index(Target& target, const storage::Record& record);

  Comm comm_;
  WriteOptions options_;
  storage::Protection protection_;
  std::uint64_t hosts_ = 1;  ///< rank 0 only
  std::optional<SavePlan> plan_;
  std::optional<ShardPlan> shard_plan_;
  std::unique_ptr<Staging> staging_;
};

}  // namespace cairn::coord
