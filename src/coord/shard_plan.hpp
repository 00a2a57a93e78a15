#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/box.hpp"
#include "codec/sha256.hpp"
#include "coord/comm.hpp"
#include "plan/claim.hpp"
#include "plan/routes.hpp"
#include "storage/shard_index.hpp"

namespace cairn::coord {

/// A box of an entry of this rank's State, written into its shard.
struct ShardBox {
  std::uint32_t entry;
  Box box;
};

/// Everything about a save in shards that depends on the structure of the state alone.
struct ShardPlan {
  codec::Digest digest{};
  storage::ImageLayout layout;  ///< of this rank's shard
  std::vector<ShardBox> boxes;  ///< what the holdings of `routes` are about
  plan::Routes routes;          ///< no messages: every block is this rank's own
  std::uint64_t tensor_count = 0;
  std::uint64_t value_bytes = 0;  ///< over all ranks
  std::uint64_t file_bytes = 0;   ///< over all ranks, with the index
  storage::IndexImage index;      ///< rank 0 only

  /// About how much memory this takes on this rank.
  [[nodiscard]] std::uint64_t memory() const noexcept;
};

/// Local. What one rank writes alone: all boxes that it holds, in blocks of that size, into a file of
/// its own that tells what they are (storage/lone_shard).
ShardPlan make_lone_plan(std::span<const plan::Claim> claims, std::uint64_t block_bytes);

/// Collective. Plans a save in shards: claims to homes, exact cover proved, every box to one of its
/// holders; each rank lays its own file out; rank 0 puts the index together. Throws `layout`.
ShardPlan make_shard_plan(const Comm& comm, std::span<const plan::Claim> claims,
                          std::uint64_t largest_block);

}  // namespace cairn::coord
