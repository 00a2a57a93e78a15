#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "coord/comm.hpp"

namespace cairn::coord {

/// The one small reduction per step, where rank 0's clock decides: posted at one step, completed at
/// the next, so that answers act one step late and no step waits for a rank that keeps up.
class StepVote {
 public:
  explicit StepVote(const Comm& comm) : comm_(comm) {}
  StepVote(const StepVote&) = delete;
  StepVote& operator=(const StepVote&) = delete;
  /// Local. A vote that is not complete is left alone.
  ~StepVote();

  /// Collective. Completes the last vote, if there is one: whether any rank had said "due".
  bool complete();
  /// Collective, but does not wait.
  void post(bool due);

 private:
  const Comm& comm_;
  struct Ballot {
    std::int32_t due = 0;
    std::int32_t any_due = 0;
  };
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::unique_ptr<Ballot> ballot_ = std::make_unique<Ballot>();
};

/// What a rank is calling; all ranks must call the same.
enum class Call : std::int32_t { save = 1, end = 2, restore = 3 };

/// Collective. Throws the same error everywhere where the ranks do not make the same call, or not
/// for the same step.
void check_same_call(const Comm& comm, Call call, std::uint64_t step);

/// Collective. Throws the same error everywhere where `digest` differs over ranks.
void check_same(const Comm& comm, std::uint64_t digest, std::string_view what);

}  // namespace cairn::coord
