#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/slice_access.hpp"
#include "cairn/error.hpp"
#include "coord/comm.hpp"
#include "coord/in_flight.hpp"
#include "coord/staging.hpp"
#include "plan/routes.hpp"
#include "storage/block_files.hpp"
#include "storage/block_io.hpp"

namespace cairn::coord {

/// Moves the values of a load, a save backwards: every rank reads the blocks it owns, each once,
/// and sends the pieces to those who want them. Reading, sending and receiving overlap in bounded
/// memory. A rank that fails goes on exchanging; its error is the result of `run`.
class LoadEngine {
 public:
  LoadEngine(const Comm& comm, const plan::Routes& routes, std::span<SliceFiller> slices,
             const storage::BlockFiles& files, storage::BlockIo& io, Staging& staging);

  /// What this rank failed by. Errors of reading come first: what others make of bytes that nobody
  /// could verify is of no interest.
  struct Outcome {
    std::optional<Error> reading;
    std::optional<Error> filling;
  };
  /// Collective.
  Outcome run();

 private:
  struct Slot {
    std::span<std::byte> bytes;
    const plan::OwnedBlock* block = nullptr;
    std::size_t unsent = 0;  ///< messages that still need the slot
  };
  struct Outgoing {
    std::size_t slot;
    const plan::Message* message;
    std::byte* packed;  ///< null: sent from the slot itself
  };
  struct Incoming {
    const plan::Message* message;
    std::byte* landing;  ///< null: received in place
  };

  bool start_reads();
  bool take_reads();
  bool send();
  bool post_receives();
  void arrive(std::size_t slot);
  void take_own(const Slot& slot);
  void hand_out(std::size_t slot);
  void pack(const Outgoing& outgoing);
  void unpack(const Incoming& incoming);
  void let_go(std::size_t slot);
  void read_and_exchange();
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool failed() const { return outcome_.reading || outcome_.filling; }
  [[nodiscard]] std::uint64_t origin(const Slot& slot) const;

  const Comm& comm_;
  const plan::Routes& routes_;
  std::span<SliceFiller> slices_;
  const storage::BlockFiles& files_;
  Staging& staging_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t next_block_ = 0;
  std::size_t next_message_ = 0;
  /// By block, once it is read: its slot, or kNoSlot where no other rank has part in it.
  std::vector<std::optional<std::size_t>> arrived_;
  std::size_t next_to_hand_out_ = 0;
  std::deque<Outgoing> to_send_;
  InFlight<Outgoing> sends_;
  InFlight<Incoming> receives_;
  Outcome outcome_;
  storage::BlockIo& io_;
};

}  // namespace cairn::coord
