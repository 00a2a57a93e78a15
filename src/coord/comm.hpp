#pragma once

#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/wire.hpp"
#include "coord/lent.hpp"
#include "coord/mailbox.hpp"

namespace cairn::coord {

/// One conversation between all ranks: a duplicate of a communicator, used by one thread at a time.
/// Every wait is a loop of tests with a deadline; when it passes, the ranks that do not answer are
/// found (`Mailbox`), `unresponsive` is thrown and names them, this object is broken (every later
/// call throws at once) and what was posted is left alone.
class Comm {
 public:
  /// Collective; blocks. Errors are returned on the duplicate; the original keeps its handler.
  Comm(MPI_Comm original, std::chrono::seconds deadline);
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;
  /// Collective where MPI still runs and the conversation is whole; else makes no MPI call.
  ~Comm();
  /// Collective. Another conversation between the same ranks. Does not block: it has the deadline.
  [[nodiscard]] std::unique_ptr<Comm> twin() const;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] MPI_Comm handle() const noexcept { return comm_; }

  /// Collective. Element-wise over all ranks, in place.
  template <class T>
  void allreduce(std::span<T> values, MPI_Op op) const;
  /// Collective. The buffer of `root` on every rank; what others pass is ignored.
  [[nodiscard]] Bytes broadcast(Bytes own, int root = 0) const;
  /// Collective. Rank 0 gets what every rank passes, by rank; the others get nothing.
  [[nodiscard]] std::vector<Bytes> gather(Bytes own) const;
  /// Collective. Rank r gets `own[r]` of every rank, by rank. Empty messages cost nothing.
  [[nodiscard]] std::vector<Bytes> exchange(std::vector<Bytes> own) const;

  /// Collective, but does not wait: each maximum of `mine` over all ranks, in `greatest` (of the same
  /// size) once the request is complete. Both must stay until then, and for ever where that never is.
  [[nodiscard]] MPI_Request vote(std::span<const std::int32_t> mine,
                                 std::span<std::int32_t> greatest) const;

  /// Local. Non-blocking point to point, in order for each pair of ranks.
  [[nodiscard]] MPI_Request send(std::span<const std::byte> bytes, int to) const;
  [[nodiscard]] MPI_Request receive(std::span<std::byte> bytes, int from) const;
  /// Local. Which of the requests are complete now; those become null.
  void test_some(std::span<MPI_Request> requests, std::vector<int>& completed) const;
  /// Waits for all of them, with the deadline; `what` says for what.
  void wait(std::span<MPI_Request> requests, std::string_view what) const;

  /// Local. Whether the operation was complete within `timeout`, and no rank took its leave.
  [[nodiscard]] bool wait_for(MPI_Request& request, std::chrono::seconds timeout) const;

  /// Local. For what is sent from, or received into, longer than a call takes.
  template <class T>
  [[nodiscard]] Lent<T> lend(T value) const {
    return Lent<T>(broken_, std::move(value));
  }

  /// Throws where an earlier wait passed its deadline.
  void refuse_if_broken() const;
  /// This one is broken: a rank did not answer in another conversation of the same object. Any
  /// thread may say so; a wait that is under way ends.
  void give_up() const noexcept { broken_ = true; }
  /// Local, inside of a `catch`: this rank failed with messages under way, which nobody will
  /// complete. So this conversation is broken; all ranks are told, and throw `unresponsive` with
  /// the words of what was caught, as this one does now. Where there is no other rank, what was
  /// caught is thrown.
  [[noreturn]] void fail() const;
  [[nodiscard]] bool is_broken() const noexcept { return broken_; }
  /// It is broken because a rank took its leave or failed, not because one did not answer.
  [[nodiscard]] bool was_left() const noexcept { return left_; }

  /// Local. Tells all ranks that this one takes part in nothing any more, and why: who waits in this
  /// conversation, now or later, throws `unresponsive` with these words.
  void take_leave(std::string_view why) const;

  /// Local. What every loop that waits for other ranks does between two tests: answers those who ask
  /// for this rank; throws where one has left, or where `since` is longer ago than the deadline.
  void look_around(std::chrono::steady_clock::time_point since, std::string_view what) const;
  /// Local. Throws `io` with MPI's own words where `code` is an error.
  static void check(int code, std::string_view what);

 private:
  Comm(const Comm& like, MPI_Comm duplicate);
  /// `check`; where MPI fails, so does this rank.
  void demand(int code, std::string_view what) const;
  void allreduce_raw(std::span<std::byte> values, int count, MPI_Datatype type, MPI_Op op) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 0;
  std::chrono::seconds deadline_;
  mutable Mailbox mailbox_;
  mutable std::atomic<bool> broken_ = false;
  mutable std::atomic<bool> left_ = false;
  mutable std::optional<Mailbox::Gone> gone_;
  mutable std::chrono::steady_clock::time_point gone_at_;
  mutable std::chrono::steady_clock::time_point asked_;  ///< the wait for which the roll was called
};

template <class T>
MPI_Datatype mpi_type();
template <>
inline MPI_Datatype mpi_type<std::int32_t>() {
  return MPI_INT32_T;
}
template <>
inline MPI_Datatype mpi_type<std::int64_t>() {
  return MPI_INT64_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint64_t>() {
  return MPI_UINT64_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint8_t>() {
  return MPI_UINT8_T;
}
template <>
inline MPI_Datatype mpi_type<double>() {
  return MPI_DOUBLE;
}

template <class T>
void Comm::allreduce(std::span<T> values, MPI_Op op) const {
  constexpr std::size_t kMost = std::size_t{1} << 24;  // MPI counts are int
  for (std::size_t at = 0; at < values.size(); at += kMost) {
    const std::size_t count = std::min(kMost, values.size() - at);
    allreduce_raw(std::as_writable_bytes(values.subspan(at, count)), static_cast<int>(count),
                  mpi_type<T>(), op);
  }
}

/// Collective. One value over all ranks.
template <class T>
T all_of(const Comm& comm, T value, MPI_Op op) {
  comm.allreduce(std::span<T>(&value, 1), op);
  return value;
}

}  // namespace cairn::coord
