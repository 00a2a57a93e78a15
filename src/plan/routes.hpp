#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/strided.hpp"

namespace cairn::plan {

/// Blocks [first, last).
struct BlockRange {
  std::uint64_t first;
  std::uint64_t last;

  bool operator==(const BlockRange&) const = default;
};

/// Adds a block to ranges in ascending order.
void append_block(std::vector<BlockRange>& ranges, std::uint64_t block);

/// Who owns which block of an image: one writer at a save, one reader at a load.
struct Ownership {
  static constexpr std::int32_t kNobody = -1;

  std::uint64_t block_bytes = 0;
  std::uint64_t first_block = 0;
  std::vector<std::int32_t> owners;  ///< of first_block, first_block + 1, …

  [[nodiscard]] std::int32_t owner(std::uint64_t block) const {
    return owners[block - first_block];
  }
  /// The blocks of `rank`, ascending.
  [[nodiscard]] std::vector<std::uint64_t> blocks_of(std::int32_t rank) const;
};

/// A slice of this rank, and the blocks of it that this rank sends (save) or wants (load).
struct Holding {
  std::uint32_t entry;  ///< in the State
  Strided image;
  std::vector<BlockRange> blocks;
};

/// Part of a slice of another rank that meets blocks of this one.
struct RemoteHolding {
  Strided image;
  std::vector<BlockRange> blocks;
};

/// The bytes of one block that one holder and its owner exchange: the pieces of its holdings, in
/// the order of the holdings, each the local bytes that lie in the block.
struct Message {
  std::uint64_t block;
  std::int32_t peer;
  std::uint32_t round;
  std::uint64_t bytes;
  std::vector<std::uint32_t> holdings;  ///< places in `Routes::mine`, or in `theirs[peer]`
};

/// Visits the pieces of a message in order: `visit(holding's place, first, last)`, local bytes.
template <class Holdings, class Visit>
void for_each_piece(const Message& message, const Holdings& holdings,
                    std::uint64_t block_bytes, Visit&& visit) {
  for (const std::uint32_t i : message.holdings) {
    const Strided& image = holdings[i].image;
    visit(i, bytes_before(image, message.block * block_bytes),
          bytes_before(image, (message.block + 1) * block_bytes));
  }
}

/// A block that this rank owns, with all who have part in it.
struct OwnedBlock {
  std::uint64_t block;
  std::vector<std::uint32_t> mine;  ///< places in `Routes::mine`
  std::vector<Message> messages;    ///< by rank of the peer
  std::uint64_t bytes = 0;          ///< of all pieces; less than a block where there are gaps
};

/// All that a rank needs to know to move data: the same for a save, where holders send to owners,
/// and for a load, where owners send to holders.
///
/// Every rank's n-th block is of round n. Holders handle their messages by (round, block) and owners
/// their blocks in order; so all messages have one global order, and whoever waits for buffers waits
/// for an earlier message: that is why bounded buffers cannot deadlock.
struct Routes {
  std::uint64_t block_bytes = 0;
  std::vector<Holding> mine;
  std::vector<std::vector<RemoteHolding>> theirs;  ///< by rank
  std::vector<Message> messages;                   ///< of this rank as a holder, in global order
  std::vector<OwnedBlock> blocks;                  ///< of this rank as an owner, ascending

  /// About how much memory this takes.
  [[nodiscard]] std::uint64_t memory() const noexcept;
};

/// What each owner must be told of this rank's holdings, by rank; nothing for this rank itself.
std::map<std::int32_t, std::vector<RemoteHolding>> split_by_owner(
    std::span<const Holding> holdings, const Ownership& ownership, int rank);

/// Puts the routes of `rank` together from its own holdings and what the others told it.
Routes make_routes(const Ownership& ownership, int rank, std::vector<Holding> mine,
                   std::vector<std::vector<RemoteHolding>> theirs);

}  // namespace cairn::plan
