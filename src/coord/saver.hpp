#pragma once

#include <mpi.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "coord/progress.hpp"
#include "coord/save_plan.hpp"
#include "coord/staging.hpp"
#include "storage/commit.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// Runs saves from beginning to end on a communicator of its own, and keeps what the next one can
/// use again: the plan and the buffers.
class Saver {
 public:
  /// Collective; blocks.
  Saver(MPI_Comm comm, const WriteOptions& options);
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  ~Saver();

  /// What rank 0 decides of a save; what the other ranks pass is ignored.
  struct Request {
    std::filesystem::path path;
    storage::Record record;
  };

  /// Collective. The whole save up to the point where it is durable and every rank knows.
  SaveReport save(const State& state, const Request& request, Listener* listener);

  [[nodiscard]] const Comm& comm() const noexcept { return comm_; }

 private:
  struct Target;

  Request agree_on(const Request& request) const;
  bool prepare_plan(std::span<const plan::Claim> claims);
  Target reserve(const Request& request);
  void check_writer(const std::filesystem::path& path) const;
  void open(Target& target) const;
  std::optional<Error> move(const State& state, Target& target);
  std::optional<Error> sync(Target& target, std::optional<Error> error) const;
  void complete(Target& target, const storage::Record& record);
  SaveReport make_report(const Request& request, const Target& target, const Progress& progress,
                         bool reused) const;
  SaveReport run(const State& state, const Request& request, Progress& progress);

  Comm comm_;
  WriteOptions options_;
  std::uint64_t hosts_ = 1;  ///< rank 0 only
  std::optional<SavePlan> plan_;
  std::unique_ptr<Staging> staging_;
};

}  // namespace cairn::coord
