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
#include "storage/block_io.hpp"

namespace cairn::coord {

/// Moves the values of a save: every rank sends pieces of its slices to the owners of their blocks,
/// puts its own blocks together in slots, and writes each as soon as it is whole. Sending, receiving
/// and writing overlap; memory is that of `Staging`, whatever the sizes.
///
/// A rank whose callback or disk fails goes on exchanging, so that nobody waits for it; its error is
/// the result of `run`, to be settled by the caller.
class SaveEngine {
 public:
  SaveEngine(const Comm& comm, const plan::Routes& routes, std::span<const SliceAccess> slices,
             const storage::PosixFile& file, Staging& staging);

  /// Collective. Returns the first error of this rank.
  std::optional<Error> run();

 private:
  struct Slot {
    std::span<std::byte> bytes;
    const plan::OwnedBlock* block = nullptr;
    std::size_t missing = 0;  ///< messages that are not in yet
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
  void fill_own(Slot& slot);
  void finish(std::size_t slot);
  bool take_writes();
  [[nodiscard]] bool done() const;
  void note(std::optional<Error> error);
  [[nodiscard]] std::uint64_t origin(const Slot& slot) const;

  const Comm& comm_;
  const plan::Routes& routes_;
  std::span<const SliceAccess> slices_;
  const storage::PosixFile& file_;
  Staging& staging_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t next_block_ = 0;
  std::size_t next_message_ = 0;
  std::deque<Incoming> to_post_;
  InFlight<Incoming> receives_;
  InFlight<std::byte*> sends_;  ///< null: sent in place
  std::optional<Error> error_;
  storage::BlockIo io_;  // last: its threads use what stands above
};

}  // namespace cairn::coord
