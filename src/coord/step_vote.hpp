#pragma once

#include <mpi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "coord/comm.hpp"

namespace cairn::coord {

/// The one small reduction per step: posted at one step, completed at the next, so that answers act
/// one step late and no step waits for a rank that keeps up.
class StepVote {
 public:
  /// What a rank says, and what any of them said.
  struct Voice {
    bool due = false;      ///< rank 0's clock wants a save
    bool failed = false;   ///< this rank has an error that all of them are to hear of
    bool writing = false;  ///< the asynchronous save under way is not done here
    /// Why all ranks are to save and stop: the number of a signal, or `kTimeLimit`; 0: they are not.
    std::int32_t stop = 0;
  };

  /// Greater than any signal.
  static constexpr std::int32_t kTimeLimit = 1 << 16;

  explicit StepVote(const Comm& comm) : comm_(comm) {}
  StepVote(const StepVote&) = delete;
  StepVote& operator=(const StepVote&) = delete;
  /// Local. A vote that is not complete is left alone.
  ~StepVote();

  /// Collective. Completes the last vote, if there is one.
  std::optional<Voice> complete();
  /// Collective, but does not wait.
  void post(Voice voice);

 private:
  const Comm& comm_;
  struct Ballot {
    std::array<std::int32_t, 4> mine{};
    std::array<std::int32_t, 4> any{};
  };
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::unique_ptr<Ballot> ballot_ = std::make_unique<Ballot>();
};

/// What a rank is calling; all ranks must call the same.
enum class Call : std::int32_t { save = 1, end = 2, restore = 3, wait = 4 };

/// Collective. Throws the same error everywhere where the ranks do not make the same call, or not
/// for the same step.
void check_same_call(const Comm& comm, Call call, std::uint64_t step);

/// Collective. Throws the same error everywhere where `digest` differs over ranks.
void check_same(const Comm& comm, std::uint64_t digest, std::string_view what);

}  // namespace cairn::coord
