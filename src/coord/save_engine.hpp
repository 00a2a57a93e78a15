#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "cairn/error.hpp"
#include "coord/comm.hpp"
#include "coord/in_flight.hpp"
#include "coord/staging.hpp"
#include "coord/supply.hpp"
#include "plan/routes.hpp"
#include "storage/block_sink.hpp"

namespace cairn::coord {

/// Moves the values of a save: every rank sends pieces of its slices to the owners of their blocks,
/// puts its own blocks together, and gives each to the sink as soon as it is whole. Sending,
/// receiving and writing overlap; memory is that of the supply and an arena for what comes in.
///
/// A sink whose ranks take turns cannot deadlock. Of the rounds whose turn is not complete, look at
/// the first, r. Ranks that wait in that turn have sent and received all of rounds 0 to r; so what
/// is still under way of these rounds is between ranks that are not there yet, and the global order
/// of messages (plan/routes.hpp) says that the earliest of it moves: its block has room, since
/// all earlier ones are written.
///
/// A rank whose callback or disk fails goes on exchanging, and taking its turns, so that nobody
/// waits for it; its error is the result of `run`, to be settled by the caller.
class SaveEngine {
 public:
  /// `arena`: for messages that cannot be received in place.
  SaveEngine(const Comm& comm, const plan::Routes& routes, Supply& supply, storage::BlockSink& sink,
             RingArena& arena);

  /// Collective. Moves the blocks of the rounds before `rounds`, the same number on every rank, and
  /// returns when they are written. What comes later waits for the next call.
  void run_to(std::size_t rounds);
  /// Collective. Moves what is left. Returns the first error of this rank.
  std::optional<Error> run();
  /// Local. The attempt is lost for that reason; `run` moves what is left for the others' sake.
  void give_up(const Error& error) { note(error); }

 private:
  struct Block {
    std::span<std::byte> bytes;
    std::vector<storage::LooseBytes> loose;
    std::size_t missing = 0;  ///< messages that are not in yet
    bool whole = false;
  };
  struct Outgoing {
    std::uint32_t round;
    std::size_t message;
  };
  struct Incoming {
    std::size_t block;
    const plan::Message* message;
    std::byte* landing;  ///< null: received in place
  };

  bool start_blocks();
  bool post_receives();
  [[nodiscard]] std::byte* place_of(const Incoming& incoming) const;
  bool send();
  void unpack(const Incoming& incoming);
  void finish(std::size_t n);
  void close(std::size_t n);
  bool take_writes();
  [[nodiscard]] std::size_t rounds_ready() const;
  void exchange_and_write();
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool has_message() const;
  void note(const std::optional<Error>& error);
  [[nodiscard]] std::uint64_t origin(std::size_t n) const;

  const Comm& comm_;
  const plan::Routes& routes_;
  Supply& supply_;
  storage::BlockSink& sink_;
  RingArena& arena_;
  std::vector<Block> blocks_;   ///< as in the routes
  std::size_t end_round_ = 0;   ///< of the call under way
  std::size_t next_block_ = 0;
  std::size_t open_blocks_ = 0;
  std::size_t first_open_ = 0;  ///< the first block that is not whole
  std::size_t next_message_ = 0;
  std::deque<Incoming> to_post_;
  InFlight<Incoming> receives_;
  InFlight<Outgoing> sends_;
  std::optional<Error> error_;
};

}  // namespace cairn::coord
