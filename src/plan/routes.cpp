#include "plan/routes.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace cairn::plan {
namespace {

/// The local bytes of `image` in `block`.
std::uint64_t bytes_in(const Strided& image, std::uint64_t block, std::uint64_t block_bytes) {
  return bytes_before(image, (block + 1) * block_bytes) - bytes_before(image, block * block_bytes);
}

template <class Visit>
void for_each(std::span<const BlockRange> ranges, Visit&& visit) {
  for (const BlockRange& range : ranges) {
    for (std::uint64_t block = range.first; block < range.last; ++block) visit(block);
  }
}

/// The n of each owner's n-th block.
std::vector<std::uint32_t> rounds_of(const Ownership& ownership) {
  std::unordered_map<std::int32_t, std::uint32_t> count;
  std::vector<std::uint32_t> rounds;
  rounds.reserve(ownership.owners.size());
  for (const std::int32_t owner : ownership.owners) rounds.push_back(count[owner]++);
  return rounds;
}

class Builder {
 public:
  Builder(const Ownership& ownership, int rank, Routes& routes)
      : ownership_(ownership), rounds_(rounds_of(ownership)), rank_(rank), routes_(routes) {
    for (const std::uint64_t block : ownership.blocks_of(rank)) {
      place_[block] = routes_.blocks.size();
      routes_.blocks.push_back({.block = block, .mine = {}, .messages = {}});
    }
  }

  void add_mine() {
    std::map<std::uint64_t, std::vector<Message>> by_block;
    for (std::uint32_t i = 0; i < routes_.mine.size(); ++i) {
      const Holding& holding = routes_.mine[i];
      for_each(holding.blocks, [&](std::uint64_t block) {
        const std::uint64_t bytes = bytes_in(holding.image, block, ownership_.block_bytes);
        if (bytes == 0) return;
        if (ownership_.owner(block) == rank_) {
          OwnedBlock& owned = routes_.blocks[place_.at(block)];
          owned.mine.push_back(i);
          owned.bytes += bytes;
          return;
        }
        add_piece(by_block[block], block, ownership_.owner(block), bytes, i);
      });
    }
    for (auto& [block, messages] : by_block) {
      std::ranges::move(messages, std::back_inserter(routes_.messages));
    }
    std::ranges::stable_sort(routes_.messages, {}, &Message::round);
  }

  void add_theirs(std::int32_t peer) {
    const auto& remote = routes_.theirs[static_cast<std::size_t>(peer)];
    for (std::uint32_t i = 0; i < remote.size(); ++i) {
      for_each(remote[i].blocks, [&](std::uint64_t block) {
        const std::uint64_t bytes = bytes_in(remote[i].image, block, ownership_.block_bytes);
        if (bytes == 0) return;
        OwnedBlock& owned = routes_.blocks[place_.at(block)];
        add_piece(owned.messages, block, peer, bytes, i);
        owned.bytes += bytes;
      });
    }
  }

 private:
  /// Adds a piece to the last message with `peer`, or to a new one: none is larger than a block,
  /// even where a load asks for the same bytes several times.
  void add_piece(std::vector<Message>& messages, std::uint64_t block, std::int32_t peer,
                 std::uint64_t bytes, std::uint32_t holding) const {
    if (messages.empty() || messages.back().peer != peer ||
        messages.back().bytes + bytes > ownership_.block_bytes) {
      messages.push_back({block, peer, rounds_[block - ownership_.first_block], 0, {}});
    }
    messages.back().bytes += bytes;
    messages.back().holdings.push_back(holding);
  }

  const Ownership& ownership_;
  std::vector<std::uint32_t> rounds_;
  std::int32_t rank_;
  Routes& routes_;
  std::unordered_map<std::uint64_t, std::size_t> place_;
};

}  // namespace

void append_block(std::vector<BlockRange>& ranges, std::uint64_t block) {
  if (!ranges.empty() && ranges.back().last == block) {
    ++ranges.back().last;
  } else {
    ranges.push_back({block, block + 1});
  }
}

std::vector<std::uint64_t> Ownership::blocks_of(std::int32_t rank) const {
  std::vector<std::uint64_t> blocks;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] == rank) blocks.push_back(first_block + i);
  }
  return blocks;
}

std::uint64_t Routes::memory() const noexcept {
  const auto of_place = [](const Strided& image, const std::vector<BlockRange>& ranges) {
    return image.dims.capacity() * sizeof(Strided::Dim) + ranges.capacity() * sizeof(BlockRange);
  };
  const auto of_message = [](const Message& message) {
    return sizeof(Message) + message.holdings.capacity() * sizeof(std::uint32_t);
  };
  std::uint64_t bytes = 0;
  for (const Holding& h : mine) bytes += sizeof h + of_place(h.image, h.blocks);
  for (const auto& of_peer : theirs) {
    for (const RemoteHolding& h : of_peer) bytes += sizeof h + of_place(h.image, h.blocks);
  }
  for (const Message& m : messages) bytes += of_message(m);
  for (const OwnedBlock& b : blocks) {
    bytes += sizeof b + b.mine.capacity() * sizeof(std::uint32_t);
    for (const Message& m : b.messages) bytes += of_message(m);
  }
  return bytes;
}

std::map<std::int32_t, std::vector<RemoteHolding>> split_by_owner(
    std::span<const Holding> holdings, const Ownership& ownership, int rank) {
  std::map<std::int32_t, std::vector<RemoteHolding>> told;
  // Which holding was last added to each owner's list.
  std::unordered_map<std::int32_t, const Holding*> last;
  for (const Holding& holding : holdings) {
    for_each(holding.blocks, [&](std::uint64_t block) {
      const std::int32_t owner = ownership.owner(block);
      if (owner == rank) return;
      std::vector<RemoteHolding>& to = told[owner];
      if (std::exchange(last[owner], &holding) != &holding) to.push_back({holding.image, {}});
      append_block(to.back().blocks, block);
    });
  }
  return told;
}

Routes make_routes(const Ownership& ownership, int rank, std::vector<Holding> mine,
                   std::vector<std::vector<RemoteHolding>> theirs) {
  Routes routes;
  routes.block_bytes = ownership.block_bytes;
  routes.mine = std::move(mine);
  routes.theirs = std::move(theirs);
  Builder builder(ownership, rank, routes);
  builder.add_mine();
  for (std::size_t peer = 0; peer < routes.theirs.size(); ++peer) {
    builder.add_theirs(static_cast<std::int32_t>(peer));
  }
  return routes;
}

}  // namespace cairn::plan
