#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include "cairn/error.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// Whose fault an error is: that of the rank where it was thrown, or of no rank in particular (it
/// is about the ranks together and says so itself).
enum class Blame : bool { thrower, nobody };

/// Collective. Every rank returns, or every rank throws the same Error: the lowest failing rank's.
void settle(const Comm& comm, const std::optional<Error>& mine, Blame blame = Blame::thrower);

/// Local. The Error that is in flight inside a `catch (...)`, whatever its type was.
Error current_error();

/// Local. Runs `step` and returns the Error that it threw, if any.
template <std::invocable Step>
std::optional<Error> attempt(Step&& step) {
  try {
    std::forward<Step>(step)();
    return std::nullopt;
  } catch (...) {
    return current_error();
  }
}

/// Collective. Runs a purely local step, then settles. The step must not communicate.
template <std::invocable Step>
void run_together(const Comm& comm, Step&& step, Blame blame = Blame::thrower) {
  settle(comm, attempt(std::forward<Step>(step)), blame);
}

/// Collective. Runs a local step on rank 0 alone, then settles.
template <std::invocable Step>
void run_on_root(const Comm& comm, Step&& step, Blame blame = Blame::nobody) {
  run_together(
      comm,
      [&] {
        if (comm.rank() == 0) std::forward<Step>(step)();
      },
      blame);
}

}  // namespace cairn::coord
