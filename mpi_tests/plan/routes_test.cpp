#include "plan/routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <tuple>

#include "base/slice_access.hpp"
#include "plan/simulated_job.hpp"

namespace cairn::plan {
namespace {

using namespace cairn::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kSeeds = 200;

TEST(AppendBlock, NeighboursThenOneRange) {
  std::vector<BlockRange> ranges;
  for (const std::uint64_t block : {3, 4, 5, 8, 10, 11}) append_block(ranges, block);
  EXPECT_THAT(ranges, ElementsAre(BlockRange{3, 6}, BlockRange{8, 9}, BlockRange{10, 12}));
}

TEST(Ownership, BlocksOfARankThenAscendingAndCountedFromTheFirst) {
  const Ownership ownership{64, 10, {1, 0, Ownership::kNobody, 1, 1}};
  EXPECT_EQ(ownership.owner(11), 0);
  EXPECT_THAT(ownership.blocks_of(1), ElementsAre(10, 13, 14));
  EXPECT_THAT(ownership.blocks_of(2), IsEmpty());
}

/// Bytes `first` to `last` of an image, for all their blocks.
Holding run(std::uint64_t first, std::uint64_t last, std::vector<BlockRange> blocks) {
  return {0, {static_cast<std::int64_t>(first), last - first, {}}, std::move(blocks)};
}

TEST(SplitByOwner, HoldingsThenEachOwnerHearsOfItsBlocksOnly) {
  const Ownership ownership{10, 0, {0, 1, 2, 1, 1, 0}};
  const std::vector<Holding> mine{run(5, 48, {{0, 5}}), run(48, 60, {{4, 6}})};
  auto told = split_by_owner(mine, ownership, 0);
  ASSERT_EQ(told.size(), 2U);
  ASSERT_EQ(told[1].size(), 2U);
  EXPECT_EQ(told[1][0].image, mine[0].image);
  EXPECT_THAT(told[1][0].blocks, ElementsAre(BlockRange{1, 2}, BlockRange{3, 5}));
  EXPECT_EQ(told[1][1].image, mine[1].image);
  EXPECT_THAT(told[1][1].blocks, ElementsAre(BlockRange{4, 5}));
  ASSERT_EQ(told[2].size(), 1U);
  EXPECT_THAT(told[2][0].blocks, ElementsAre(BlockRange{2, 3}));
}

TEST(MakeRoutes, SmallHoldingsInOneBlockThenOneMessage) {
  const Ownership ownership{100, 0, {1}};
  std::vector<Holding> mine{run(0, 10, {{0, 1}}), run(20, 30, {{0, 1}}), run(30, 100, {{0, 1}})};
  const Routes routes = make_routes(ownership, 0, std::move(mine), {});
  ASSERT_EQ(routes.messages.size(), 1U);
  EXPECT_EQ(routes.messages[0].peer, 1);
  EXPECT_EQ(routes.messages[0].bytes, 90U);
  EXPECT_THAT(routes.messages[0].holdings, ElementsAre(0, 1, 2));
  EXPECT_THAT(routes.blocks, IsEmpty());
}

TEST(MakeRoutes, SameBytesWantedSeveralTimesThenNoMessageIsLargerThanABlock) {
  const Ownership ownership{100, 0, {1}};
  std::vector<Holding> mine{run(0, 60, {{0, 1}}), run(0, 40, {{0, 1}}), run(0, 100, {{0, 1}}),
                            run(50, 51, {{0, 1}})};
  const Routes routes = make_routes(ownership, 0, std::move(mine), {});
  ASSERT_EQ(routes.messages.size(), 3U);
  EXPECT_THAT(routes.messages[0].holdings, ElementsAre(0, 1));
  EXPECT_THAT(routes.messages[1].holdings, ElementsAre(2));
  EXPECT_THAT(routes.messages[2].holdings, ElementsAre(3));
  EXPECT_EQ(routes.messages[0].bytes, 100U);
  EXPECT_EQ(routes.messages[2].bytes, 1U);
}

TEST(MakeRoutes, BlocksOfSeveralOwnersThenByRoundBeforeBlock) {
  // Rank 1 owns blocks 0, 1, 2, rank 2 owns 3 and 4: rounds 0, 1, 2, 0, 1.
  const Ownership ownership{10, 0, {1, 1, 1, 2, 2}};
  const Routes routes = make_routes(ownership, 0, {run(0, 50, {{0, 5}})}, {});
  std::vector<std::uint64_t> order;
  std::vector<std::uint32_t> rounds;
  for (const Message& message : routes.messages) {
    order.push_back(message.block);
    rounds.push_back(message.round);
  }
  EXPECT_THAT(order, ElementsAre(0, 3, 1, 4, 2));
  EXPECT_THAT(rounds, ElementsAre(0, 0, 1, 1, 2));
}

TEST(MakeRoutes, OwnerThenItsBlocksKnowAllWhoHavePartInThem) {
  const Ownership ownership{10, 0, {1, 0, 1}};
  std::vector<std::vector<RemoteHolding>> theirs(3);
  theirs[0].push_back({{4, 6, {}}, {{0, 1}}});
  theirs[2].push_back({{20, 5, {}}, {{2, 3}}});
  const Routes routes = make_routes(ownership, 1, {run(0, 4, {{0, 1}})}, std::move(theirs));
  ASSERT_EQ(routes.blocks.size(), 2U);
  EXPECT_EQ(routes.blocks[0].block, 0U);
  EXPECT_THAT(routes.blocks[0].mine, ElementsAre(0));
  ASSERT_EQ(routes.blocks[0].messages.size(), 1U);
  EXPECT_EQ(routes.blocks[0].messages[0].peer, 0);
  EXPECT_EQ(routes.blocks[0].bytes, 10U);
  EXPECT_EQ(routes.blocks[1].block, 2U);
  EXPECT_THAT(routes.blocks[1].mine, IsEmpty());
  EXPECT_EQ(routes.blocks[1].messages.at(0).peer, 2);
  EXPECT_EQ(routes.blocks[1].bytes, 5U);
}

/// A message told byte by byte, as one of its two sides sees it.
struct Transfer {
  std::uint64_t block;
  std::size_t holder;
  std::size_t owner;
  std::uint64_t bytes;
  Positions image;  ///< where its bytes lie, in the order they travel

  bool operator==(const Transfer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Transfer& transfer) {
  out << "block " << transfer.block << " of rank " << transfer.owner << " with rank "
      << transfer.holder << ", " << transfer.bytes << " bytes:";
  for (const std::int64_t at : transfer.image) out << ' ' << at;
  return out;
}

/// The local bytes that lie in a block.
ByteRange bytes_within(const Positions& positions, std::uint64_t block, std::uint64_t block_bytes) {
  const auto begin = static_cast<std::int64_t>(block * block_bytes);
  const auto end = begin + static_cast<std::int64_t>(block_bytes);
  const auto first = std::ranges::lower_bound(positions, begin) - positions.begin();
  const auto last = std::ranges::lower_bound(positions, end) - positions.begin();
  return {static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(last)};
}

/// The place of each local byte as the members of `place` tell it.
Positions told_by(const Strided& place) {
  Shape counts;
  Strides strides;
  for (const Strided::Dim& dim : place.dims) {
    counts.push_back(dim.count);
    strides.push_back(dim.stride);
  }
  return positions_of(counts, place.run, strides, place.base);
}

class Watched {
 public:
  explicit Watched(const SimulatedPlan& plan) : plan_(plan) {}

  std::size_t ranks() const { return plan_.routes.size(); }
  const Routes& routes(std::size_t rank) const { return plan_.routes[rank]; }
  const plan::Claim& claim(std::size_t rank, std::uint32_t place) const {
    return plan_.claims[rank][routes(rank).mine[place].entry];
  }

  /// What `rank` handles as a holder, in its order.
  std::vector<Transfer> as_holder(std::size_t rank) const {
    std::vector<Transfer> transfers;
    for (const Message& message : routes(rank).messages) {
      Transfer transfer{
          message.block, rank, static_cast<std::size_t>(message.peer), message.bytes, {}};
      for (const std::uint32_t i : message.holdings) {
        append(transfer, plan_.image->positions(claim(rank, i)));
      }
      transfers.push_back(std::move(transfer));
    }
    return transfers;
  }

  /// What `rank` handles as an owner, in its order.
  std::vector<Transfer> as_owner(std::size_t rank) const {
    std::vector<Transfer> transfers;
    for (const OwnedBlock& owned : routes(rank).blocks) {
      for (const Message& message : owned.messages) {
        const auto holder = static_cast<std::size_t>(message.peer);
        Transfer transfer{owned.block, holder, rank, message.bytes, {}};
        EXPECT_EQ(message.block, owned.block);
        for (const std::uint32_t i : message.holdings) {
          append(transfer, told_by(routes(rank).theirs[holder][i].image));
        }
        transfers.push_back(std::move(transfer));
      }
    }
    return transfers;
  }

  /// What `rank` takes from itself.
  std::vector<Transfer> within(std::size_t rank) const {
    std::vector<Transfer> transfers;
    for (const OwnedBlock& owned : routes(rank).blocks) {
      for (const std::uint32_t i : owned.mine) {
        Transfer transfer{owned.block, rank, rank, 0, {}};
        append(transfer, plan_.image->positions(claim(rank, i)));
        transfer.bytes = transfer.image.size();
        transfers.push_back(std::move(transfer));
      }
    }
    return transfers;
  }

 private:
  void append(Transfer& transfer, const Positions& positions) const {
    const auto [first, last] = bytes_within(positions, transfer.block, plan_.image->block_bytes);
    EXPECT_LT(first, last) << "a piece without bytes";
    transfer.image.insert(transfer.image.end(),
                          positions.begin() + static_cast<std::ptrdiff_t>(first),
                          positions.begin() + static_cast<std::ptrdiff_t>(last));
  }

  const SimulatedPlan& plan_;
};

std::vector<Transfer> with_peer(const std::vector<Transfer>& all, std::size_t holder,
                                std::size_t owner) {
  std::vector<Transfer> some;
  std::ranges::copy_if(all, std::back_inserter(some), [&](const Transfer& transfer) {
    return transfer.holder == holder && transfer.owner == owner;
  });
  return some;
}

void expect_both_sides_agree(const Watched& job) {
  std::vector<std::vector<Transfer>> holders;
  std::vector<std::vector<Transfer>> owners;
  for (std::size_t rank = 0; rank < job.ranks(); ++rank) {
    holders.push_back(job.as_holder(rank));
    owners.push_back(job.as_owner(rank));
  }
  for (std::size_t holder = 0; holder < job.ranks(); ++holder) {
    for (std::size_t owner = 0; owner < job.ranks(); ++owner) {
      EXPECT_EQ(with_peer(holders[holder], holder, owner), with_peer(owners[owner], holder, owner))
          << "holder " << holder << ", owner " << owner;
    }
  }
}

void expect_bounded(const Watched& job, std::uint64_t block_bytes) {
  for (std::size_t rank = 0; rank < job.ranks(); ++rank) {
    for (const Transfer& transfer : job.as_holder(rank)) {
      EXPECT_NE(transfer.owner, rank) << "a message to itself";
      EXPECT_EQ(transfer.bytes, transfer.image.size());
      EXPECT_GT(transfer.bytes, 0U);
      EXPECT_LE(transfer.bytes, block_bytes);
    }
  }
}

void expect_blocks_as_owned(const SimulatedPlan& plan) {
  for (std::size_t rank = 0; rank < plan.routes.size(); ++rank) {
    std::vector<std::uint64_t> expected;
    for (std::size_t i = 0; i < plan.ownership.owners.size(); ++i) {
      if (plan.ownership.owners[i] == static_cast<std::int32_t>(rank)) {
        expected.push_back(plan.image->first_block + i);
      }
    }
    std::map<std::uint64_t, std::uint64_t> bytes;
    for (const Transfer& own : Watched(plan).within(rank)) bytes[own.block] += own.bytes;
    for (const Transfer& other : Watched(plan).as_owner(rank)) bytes[other.block] += other.bytes;
    std::vector<std::uint64_t> blocks;
    for (const OwnedBlock& owned : plan.routes[rank].blocks) {
      blocks.push_back(owned.block);
      EXPECT_EQ(owned.bytes, bytes[owned.block]) << "block " << owned.block;
    }
    EXPECT_EQ(blocks, expected) << "rank " << rank;
  }
}

void visit_all(const Watched& job, const std::function<void(const Transfer&)>& visit) {
  for (std::size_t rank = 0; rank < job.ranks(); ++rank) {
    for (const Transfer& transfer : job.as_holder(rank)) visit(transfer);
    for (const Transfer& transfer : job.within(rank)) visit(transfer);
  }
}

SimulatedPlan random_save_plan(Random& random, const SimulatedImage& image, std::uint64_t ranks) {
  return plan_save(image, random_save(random, image, static_cast<int>(1 + below(random, ranks))));
}

SimulatedPlan random_load_plan(Random& random, const SimulatedImage& image, std::uint64_t ranks) {
  return plan_load(image, random_load(random, image, static_cast<int>(1 + below(random, ranks))));
}

TEST(SaveRoutes, AnyLayoutThenHoldersAndOwnersExpectTheSameMessages) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_save_plan(random, image, 7);
    expect_both_sides_agree(Watched(plan));
    expect_bounded(Watched(plan), image.block_bytes);
    expect_blocks_as_owned(plan);
  });
}

TEST(LoadRoutes, AnyLayoutThenHoldersAndOwnersExpectTheSameMessages) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_load_plan(random, image, 7);
    expect_both_sides_agree(Watched(plan));
    expect_bounded(Watched(plan), image.block_bytes);
    expect_blocks_as_owned(plan);
  });
}

TEST(SaveRoutes, AnyLayoutThenEachByteOfTheValuesReachesItsOwnerOnce) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_save_plan(random, image, 7);
    std::vector<int> expected(image.end, 0);
    for (const PlacedTensor& tensor : image.tensors) {
      const Claim all{tensor, {Shape(tensor.shape.size(), 0), tensor.shape}};
      for (const std::int64_t at : image.positions(all)) expected[static_cast<std::size_t>(at)] = 1;
    }
    std::vector<int> delivered(image.end, 0);
    visit_all(Watched(plan), [&](const Transfer& transfer) {
      EXPECT_EQ(plan.ownership.owner(transfer.block), static_cast<std::int32_t>(transfer.owner));
      for (const std::int64_t at : transfer.image) {
        EXPECT_EQ(static_cast<std::uint64_t>(at) / image.block_bytes, transfer.block);
        ++delivered.at(static_cast<std::size_t>(at));
      }
    });
    EXPECT_EQ(delivered, expected);
  });
}

/// How often each local byte of each claim of `rank` is delivered.
std::vector<std::vector<int>> deliveries(const SimulatedPlan& plan, std::size_t rank) {
  const Routes& routes = plan.routes[rank];
  std::vector<std::vector<int>> count;
  std::vector<Positions> positions;
  for (const Claim& claim : plan.claims[rank]) {
    positions.push_back(plan.image->positions(claim));
    count.emplace_back(positions.back().size(), 0);
  }
  const auto deliver = [&](std::uint32_t place, std::uint64_t block) {
    const std::uint32_t entry = routes.mine[place].entry;
    const auto [first, last] = bytes_within(positions[entry], block, plan.image->block_bytes);
    for (std::uint64_t i = first; i < last; ++i) ++count[entry][i];
  };
  for (const Message& message : routes.messages) {
    for (const std::uint32_t place : message.holdings) deliver(place, message.block);
  }
  for (const OwnedBlock& owned : routes.blocks) {
    for (const std::uint32_t place : owned.mine) deliver(place, owned.block);
  }
  return count;
}

TEST(LoadRoutes, AnyBoxesThenEachByteOfEachIsDeliveredOnce) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_load_plan(random, image, 7);
    for (std::size_t rank = 0; rank < plan.routes.size(); ++rank) {
      for (const auto& of_claim : deliveries(plan, rank)) EXPECT_THAT(of_claim, Each(1));
    }
  });
}

TEST(LoadRoutes, AnyBoxesThenOnlyBlocksThatSomebodyWantsAreRead) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_load_plan(random, image, 7);
    for (const Routes& routes : plan.routes) {
      for (const OwnedBlock& owned : routes.blocks) EXPECT_GT(owned.bytes, 0U);
    }
  });
}

/// Everybody asks for the whole of one tensor `times` times.
ClaimsOfRanks greedy_load(const SimulatedImage& image, std::size_t ranks, std::size_t times) {
  const PlacedTensor& tensor = image.tensors.front();
  return ClaimsOfRanks(
      ranks, std::vector<Claim>(times, {tensor, {Shape(tensor.shape.size(), 0), tensor.shape}}));
}

TEST(LoadRoutes, SameBytesAskedForOftenThenStillBoundedAndComplete) {
  for_seeds(50, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = plan_load(image, greedy_load(image, 4, 5));
    expect_both_sides_agree(Watched(plan));
    expect_bounded(Watched(plan), image.block_bytes);
    for (std::size_t rank = 0; rank < 4; ++rank) {
      for (const auto& of_claim : deliveries(plan, rank)) EXPECT_THAT(of_claim, Each(1));
    }
  });
}

/// The n of each owner's n-th block.
std::map<std::uint64_t, std::uint64_t> rounds(const SimulatedPlan& plan) {
  std::map<std::int32_t, std::uint64_t> owned;
  std::map<std::uint64_t, std::uint64_t> round;
  for (std::size_t i = 0; i < plan.ownership.owners.size(); ++i) {
    round[plan.image->first_block + i] = owned[plan.ownership.owners[i]]++;
  }
  return round;
}

void expect_global_order(const SimulatedPlan& plan) {
  auto round = rounds(plan);
  const auto key = [&](const Transfer& transfer) {
    return std::tuple(round.at(transfer.block), transfer.block, transfer.holder);
  };
  const Watched job(plan);
  for (std::size_t rank = 0; rank < job.ranks(); ++rank) {
    EXPECT_TRUE(std::ranges::is_sorted(job.as_holder(rank), {}, key)) << "holder " << rank;
    EXPECT_TRUE(std::ranges::is_sorted(job.as_owner(rank), {}, key)) << "owner " << rank;
  }
}

/// Moves messages as the least memory allows: a rank has room for one message as a holder and for
/// one as an owner, takes each side's messages in its order, and a message moves only when both of
/// its ranks have come to it. Returns how many messages are stuck.
std::size_t stuck_after_strict_transfer(const SimulatedPlan& plan) {
  const Watched job(plan);
  std::vector<std::vector<Transfer>> holders;
  std::vector<std::vector<Transfer>> owners;
  std::size_t left = 0;
  for (std::size_t rank = 0; rank < job.ranks(); ++rank) {
    holders.push_back(job.as_holder(rank));
    owners.push_back(job.as_owner(rank));
    left += holders.back().size();
  }
  std::vector<std::size_t> sent(job.ranks(), 0);
  std::vector<std::size_t> received(job.ranks(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t holder = 0; holder < job.ranks(); ++holder) {
      if (sent[holder] == holders[holder].size()) continue;
      const Transfer& offered = holders[holder][sent[holder]];
      const std::size_t at = received[offered.owner];
      if (at == owners[offered.owner].size() || owners[offered.owner][at] != offered) continue;
      ++sent[holder];
      ++received[offered.owner];
      --left;
      moved = true;
    }
  }
  return left;
}

TEST(SaveRoutes, RoomForOneMessageOnlyThenNoDeadlock) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_save_plan(random, image, 9);
    expect_global_order(plan);
    EXPECT_EQ(stuck_after_strict_transfer(plan), 0U);
  });
}

TEST(LoadRoutes, RoomForOneMessageOnlyThenNoDeadlock) {
  for_seeds(kSeeds, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_load_plan(random, image, 9);
    expect_global_order(plan);
    EXPECT_EQ(stuck_after_strict_transfer(plan), 0U);
  });
}

/// The values of one rank, which lie in its memory in any strides.
struct RankMemory {
  RankMemory(Random& random, const SimulatedImage& image, const std::vector<Claim>& claims) {
    for (const Claim& claim : claims) {
      const std::size_t size = claim.tensor.dtype == DType::float64 ? 8 : 1;
      const MemoryLayout memory = random_memory(random, claim.box.extent, size);
      buffers.push_back(std::vector<std::byte>(memory.bytes));
      void* first = buffers.back().data() + memory.origin;
      state.add(claim.tensor.name, {claim.tensor.shape, claim.box.offset, claim.box.extent},
                Source::memory(claim.tensor.dtype, first, memory.strides));
      places.push_back(positions_of(claim.box.extent, size, memory.strides, memory.origin));
      images.push_back(image.positions(claim));
    }
    for (const State::Entry& entry : state.entries()) slices.emplace_back(entry);
  }

  std::byte& byte(std::size_t claim, std::size_t local) {
    return buffers[claim][static_cast<std::size_t>(places[claim][local])];
  }

  State state;
  std::vector<SliceAccess> slices;
  std::vector<std::vector<std::byte>> buffers;
  std::vector<Positions> places;  ///< by claim and local byte: in the buffer
  std::vector<Positions> images;  ///< the same: in the image
};

std::vector<RankMemory> memory_of_ranks(Random& random, const SimulatedImage& image,
                                        const ClaimsOfRanks& claims) {
  std::vector<RankMemory> ranks;
  for (const auto& of_rank : claims) ranks.emplace_back(random, image, of_rank);
  return ranks;
}

/// The byte at a place of the image.
std::byte value_at(std::int64_t position) {
  return static_cast<std::byte>((static_cast<std::uint64_t>(position) * 0x9E3779B97F4A7C15U) >> 56);
}

/// As the save engine: own pieces into the block, the others' packed, moved and unpacked.
void save_block(const SimulatedPlan& plan, std::vector<RankMemory>& ranks, std::size_t owner,
                const OwnedBlock& owned, std::byte* block) {
  const Routes& routes = plan.routes[owner];
  const std::uint64_t origin = owned.block * routes.block_bytes;
  for (const std::uint32_t i : owned.mine) {
    const Holding& mine = routes.mine[i];
    ranks[owner].slices[mine.entry].read_into_image(
        bytes_before(mine.image, origin), bytes_before(mine.image, origin + routes.block_bytes),
        mine.image, block, origin);
  }
  std::map<std::int32_t, std::size_t> seen;
  for (const Message& message : owned.messages) {
    const auto peer = static_cast<std::size_t>(message.peer);
    // The holder's messages of this block, in order, are those of the owner.
    std::vector<const Message*> sent;
    for (const Message& other : plan.routes[peer].messages) {
      if (other.block == owned.block) sent.push_back(&other);
    }
    std::vector<std::byte> packed(message.bytes);
    std::byte* at = packed.data();
    for_each_piece(*sent.at(seen[message.peer]++), plan.routes[peer].mine, routes.block_bytes,
                   [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                     ranks[peer].slices[plan.routes[peer].mine[i].entry].read(first, last, at);
                     at += last - first;
                   });
    const std::byte* from = packed.data();
    for_each_piece(message, routes.theirs[peer], routes.block_bytes,
                   [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                     copy_local(packed_place(first, last), from, routes.theirs[peer][i].image,
                                block - origin, first, last);
                     from += last - first;
                   });
  }
}

TEST(SaveRoutes, MovedThenTheImageHoldsEachValueAtItsPlaceAndZerosInTheGaps) {
  for_seeds(kSeeds / 2, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_save_plan(random, image, 6);
    std::vector<RankMemory> ranks = memory_of_ranks(random, image, plan.claims);
    std::vector<std::byte> expected((image.first_block + image.block_count) * image.block_bytes);
    for (RankMemory& rank : ranks) {
      for (std::size_t claim = 0; claim < rank.images.size(); ++claim) {
        for (std::size_t i = 0; i < rank.images[claim].size(); ++i) {
          const std::int64_t at = rank.images[claim][i];
          rank.byte(claim, i) = expected[static_cast<std::size_t>(at)] = value_at(at);
        }
      }
    }
    std::vector<std::byte> written(expected.size());
    for (std::size_t owner = 0; owner < ranks.size(); ++owner) {
      for (const OwnedBlock& owned : plan.routes[owner].blocks) {
        save_block(plan, ranks, owner, owned, written.data() + owned.block * image.block_bytes);
      }
    }
    EXPECT_EQ(written, expected);
  });
}

/// As the load engine: own pieces out of the block, the others' packed, moved and unpacked.
void load_block(const SimulatedPlan& plan, std::vector<RankMemory>& ranks, std::size_t owner,
                const OwnedBlock& owned, const std::byte* block) {
  const Routes& routes = plan.routes[owner];
  const std::uint64_t origin = owned.block * routes.block_bytes;
  for (const std::uint32_t i : owned.mine) {
    const Holding& mine = routes.mine[i];
    ranks[owner].slices[mine.entry].write_from_image(
        bytes_before(mine.image, origin), bytes_before(mine.image, origin + routes.block_bytes),
        mine.image, block, origin);
  }
  std::map<std::int32_t, std::size_t> seen;
  for (const Message& message : owned.messages) {
    const auto peer = static_cast<std::size_t>(message.peer);
    std::vector<std::byte> packed(message.bytes);
    std::byte* to = packed.data();
    for_each_piece(message, routes.theirs[peer], routes.block_bytes,
                   [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                     copy_local(routes.theirs[peer][i].image, block - origin,
                                packed_place(first, last), to, first, last);
                     to += last - first;
                   });
    std::vector<const Message*> expected;
    for (const Message& other : plan.routes[peer].messages) {
      if (other.block == owned.block) expected.push_back(&other);
    }
    const std::byte* at = packed.data();
    for_each_piece(*expected.at(seen[message.peer]++), plan.routes[peer].mine, routes.block_bytes,
                   [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                     ranks[peer].slices[plan.routes[peer].mine[i].entry].write(first, last, at);
                     at += last - first;
                   });
  }
}

TEST(LoadRoutes, MovedThenEveryBoxHoldsTheValuesOfItsPlace) {
  for_seeds(kSeeds / 2, [](Random& random) {
    const SimulatedImage image(random);
    const SimulatedPlan plan = random_load_plan(random, image, 6);
    std::vector<RankMemory> ranks = memory_of_ranks(random, image, plan.claims);
    std::vector<std::byte> file((image.first_block + image.block_count) * image.block_bytes);
    for (std::size_t i = 0; i < file.size(); ++i) file[i] = value_at(static_cast<std::int64_t>(i));
    for (std::size_t owner = 0; owner < ranks.size(); ++owner) {
      for (const OwnedBlock& owned : plan.routes[owner].blocks) {
        load_block(plan, ranks, owner, owned, file.data() + owned.block * image.block_bytes);
      }
    }
    for (RankMemory& rank : ranks) {
      for (std::size_t claim = 0; claim < rank.images.size(); ++claim) {
        for (std::size_t i = 0; i < rank.images[claim].size(); ++i) {
          EXPECT_EQ(rank.byte(claim, i), value_at(rank.images[claim][i])) << "claim " << claim;
        }
      }
    }
  });
}

}  // namespace
}  // namespace cairn::plan
