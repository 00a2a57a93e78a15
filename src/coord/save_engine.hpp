#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/slice_access.hpp"
#include "cairn/error.hpp"
#include "coord/comm.hpp"
#include "coord/in_flight.hpp"
#include "coord/staging.hpp"
#include "plan/routes.hpp"
#include "storage/block_sink.hpp"

namespace cairn::coord {

/// Moves the values of a save: every rank sends pieces of its slices to the owners of their blocks,
/// puts its own blocks together in slots, and gives each to the sink as soon as it is whole.
/// Sending, receiving and writing overlap; memory is that of `Staging`, whatever the sizes.
///
/// A sink whose ranks take turns cannot deadlock. Of the rounds whose turn is not complete, look at
/// the first, r. Ranks that wait in that turn have sent and received all of rounds 0 to r; so what
/// is still under way of these rounds is between ranks that are not there yet, and the global order
/// of messages (plan/routes.hpp) says that the earliest of it moves: its block has a slot, since
/// all earlier ones are written.
///
/// A rank whose callback or disk fails goes on exchanging, and taking its turns, so that nobody
/// waits for it; its error is the result of `run`, to be settled by the caller.
class SaveEngine {
 public:
  SaveEngine(const Comm& comm, const plan::Routes& routes, std::span<const SliceAccess> slices,
             storage::BlockSink& sink, Staging& staging);

  /// Collective. Returns the first error of this rank.
  std::optional<Error> run();

 private:
  struct Slot {
    std::span<std::byte> bytes;
    const plan::OwnedBlock* block = nullptr;
    std::size_t missing = 0;  ///< messages that are not in yet
  };
  struct Outgoing {
    std::uint32_t round;
    std::byte* packed;  ///< null: sent in place
  };
  struct Incoming {
    std::size_t slot;
    const plan::Message* message;
    std::byte* landing;  ///< null: received in place
  };

  bool start_blocks();
  bool post_receives();
  bool send();
  void pack(const plan::Message& message, std::byte* packed);
  void unpack(const Incoming& incoming);
  void zero_gaps(Slot& slot);
  void fill_own(Slot& slot);
  void finish(std::size_t slot);
  bool take_writes();
  [[nodiscard]] std::size_t rounds_ready() const;
  [[nodiscard]] bool done() const;
  void note(std::optional<Error> error);
  [[nodiscard]] std::uint64_t origin(const Slot& slot) const;

  const Comm& comm_;
  const plan::Routes& routes_;
  std::span<const SliceAccess> slices_;
  Staging& staging_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t next_block_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> runs_;  ///< kept for its memory
  std::vector<bool> whole_;     ///< by block of this rank
  std::size_t first_open_ = 0;  ///< the first block that is not whole
  std::size_t next_message_ = 0;
  std::deque<Incoming> to_post_;
  InFlight<Incoming> receives_;
  InFlight<Outgoing> sends_;
  std::optional<Error> error_;
  storage::BlockSink& sink_;
};

}  // namespace cairn::coord
