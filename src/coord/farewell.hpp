#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "coord/comm.hpp"

namespace cairn::coord {

/// Where ranks meet that leave their training loop before its time. A conversation of its own, since
/// nobody knows in which call the others are.
class Farewell {
 public:
  /// Collective; blocks.
  Farewell(MPI_Comm comm, std::chrono::seconds deadline)
      : comm_(std::make_unique<Comm>(comm, deadline)) {}
  explicit Farewell(std::unique_ptr<Comm> comm) noexcept : comm_(std::move(comm)) {}

  /// What a rank brings, and what of it is so on any of them.
  struct Standing {
    std::uint64_t step = 0;
    bool broken = false;    ///< it cannot be in a collective call any more
    bool updating = false;  ///< its values are between two steps
    bool unsure = false;    ///< nobody knows whether they are
  };
  struct Meeting {
    bool same_step = false;
    bool broken = false;
    bool updating = false;
    bool unsure = false;
  };
  /// Waits until all ranks are here, at most that long. Nothing: some did not come, and this is the
  /// end of it.
  std::optional<Meeting> meet(const Standing& mine, std::chrono::seconds timeout);
  /// Local. Instead of `meet`: this rank will not come, so that nobody waits for it.
  void stay_away();

  /// Local. Ranks are gone, and nobody comes here any more.
  void give_up() const noexcept {
    if (comm_) comm_->give_up();
  }

  /// Collective. After a meeting of all: where they would meet the next time.
  [[nodiscard]] std::unique_ptr<Farewell> next() const {
    return std::make_unique<Farewell>(comm_->twin());
  }
  /// Local. After a meeting of all: a conversation that is in order on every rank, for them to go on.
  [[nodiscard]] std::unique_ptr<Comm> take_comm() noexcept { return std::move(comm_); }

 private:
  std::unique_ptr<Comm> comm_;
};

}  // namespace cairn::coord
