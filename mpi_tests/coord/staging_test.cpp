#include "coord/staging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace cairn::coord {
namespace {

constexpr std::size_t kAlignment = 64;

/// What is out, in the order it went out, each with a byte of its own written all over it.
class Model {
 public:
  explicit Model(std::size_t bytes) : arena_(bytes), size_(bytes) {
    first_ = arena_.try_take(bytes);
    if (first_ != nullptr) arena_.give_back(first_);
  }

  [[nodiscard]] bool empty() const { return out_.empty(); }
  [[nodiscard]] std::size_t count() const { return out_.size(); }

  /// Whether there was room.
  bool take(std::size_t bytes) {
    std::byte* const piece = arena_.try_take(bytes);
    if (piece == nullptr) {
      EXPECT_FALSE(out_.empty() && bytes <= size_) << "an empty arena has no room for " << bytes;
      return false;
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % kAlignment, 0U);
    EXPECT_GE(piece, first_);
    EXPECT_LE(piece + bytes, first_ + size_);
    for (const Piece& other : out_) {
      EXPECT_TRUE(piece + bytes <= other.at || other.at + other.bytes <= piece)
          << bytes << " bytes overlap with " << other.bytes << " that are out";
    }
    const auto mark = static_cast<unsigned char>(++taken_);
    std::memset(piece, mark, bytes);
    out_.push_back({piece, bytes, mark});
    return true;
  }

  void give_back(std::size_t i) {
    const Piece piece = out_[i];
    EXPECT_TRUE(std::all_of(piece.at, piece.at + piece.bytes, [&](std::byte b) {
      return b == std::byte{piece.mark};
    })) << "somebody wrote into a piece that was out";
    arena_.give_back(piece.at);
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(i));
  }

 private:
  struct Piece {
    std::byte* at;
    std::size_t bytes;
    unsigned char mark;
  };
  RingArena arena_;
  std::size_t size_;
  std::byte* first_ = nullptr;
  std::vector<Piece> out_;
  unsigned taken_ = 0;
};

TEST(RingArena, WhateverIsTakenAndGivenBackNothingOverlapsAndAnEmptyOneHasItsWholeSize) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) { return std::size_t{random()} % n; };
    const std::size_t size = kAlignment * (1 + below(64));
    // From first in, first out to any order at all.
    const std::size_t disorder = 1 + below(8);
    Model model(size);
    for (int step = 0; step < 500; ++step) {
      if (below(100) < 55) {
        model.take(1 + below(below(10) == 0 ? size : size / 4 + 1));
      } else if (!model.empty()) {
        model.give_back(below(std::min(disorder, model.count())));
      }
      if (below(50) == 0) {
        while (!model.empty()) model.give_back(below(model.count()));
        EXPECT_TRUE(model.take(size)) << "empty again";
        EXPECT_FALSE(model.take(1)) << "full";
        model.give_back(0);
      }
      if (HasFailure()) return;
    }
  }
}

TEST(RingArena, InOrderItIsNeverLessThanHalfFullWhenItRefuses) {
  constexpr std::size_t kSize = 16 * kAlignment;
  constexpr std::size_t kPiece = 3 * kAlignment;
  RingArena arena(kSize);
  std::vector<std::byte*> out;
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    while (std::byte* piece = arena.try_take(kPiece)) out.push_back(piece);
    most = std::max(most, out.size());
    EXPECT_GE(out.size() * kPiece, kSize / 2);
    arena.give_back(out.front());
    out.erase(out.begin());
  }
  EXPECT_EQ(most, 5U);
}

TEST(RingArena, WhatIsGivenBackOutOfOrderIsFreeWhenItsElderIs) {
  RingArena arena(4 * kAlignment);
  std::byte* const a = arena.try_take(2 * kAlignment);
  std::byte* const b = arena.try_take(2 * kAlignment);
  ASSERT_TRUE(a != nullptr && b != nullptr);
  EXPECT_EQ(arena.try_take(1), nullptr);
  arena.give_back(b);
  EXPECT_EQ(arena.try_take(1), nullptr);
  arena.give_back(a);
  EXPECT_NE(arena.try_take(4 * kAlignment), nullptr);
}

TEST(RingArena, MoreThanItsSizeIsRefusedAlwaysAndHarmsNothing) {
  RingArena arena(4 * kAlignment);
  EXPECT_EQ(arena.try_take(4 * kAlignment + 1), nullptr);
  std::byte* const piece = arena.try_take(kAlignment);
  EXPECT_EQ(arena.try_take(5 * kAlignment), nullptr);
  arena.give_back(piece);
  EXPECT_NE(arena.try_take(4 * kAlignment), nullptr);
}

TEST(RingArena, OfNoBytesHasNoRoom) {
  RingArena arena(0);
  EXPECT_EQ(arena.try_take(1), nullptr);
}

// ---- Staging

TEST(Staging, StaysWithinTheBudgetAndUsesMostOfIt) {
  constexpr std::size_t kBlock = 64 << 10;
  for (std::size_t blocks = 4; blocks < 100; ++blocks) {
    for (const std::size_t more : {std::size_t{0}, std::size_t{1}, kBlock - 1}) {
      const std::size_t budget = blocks * kBlock + more;
      const Staging staging(kBlock, budget);
      EXPECT_EQ(staging.budget(), budget);
      EXPECT_EQ(staging.block_bytes(), kBlock);
      EXPECT_LE(staging.bytes(), budget);
      EXPECT_GT(staging.bytes() + kBlock, budget) << "a block is left over";
      EXPECT_GE(staging.slot_count() * 2, blocks) << "half of it are slots";
    }
  }
}

TEST(Staging, OfTooSmallABudgetTakesFourBlocks) {
  constexpr std::size_t kBlock = 64 << 10;
  for (const std::size_t budget : {std::size_t{0}, std::size_t{1}, kBlock, 4 * kBlock - 1}) {
    Staging staging(kBlock, budget);
    EXPECT_EQ(staging.bytes(), 4 * kBlock);
    EXPECT_EQ(staging.slot_count(), 2U);
    EXPECT_NE(staging.incoming().try_take(kBlock), nullptr) << "room for any one message";
    EXPECT_NE(staging.outgoing().try_take(kBlock), nullptr);
  }
}

TEST(Staging, SlotsAreAlignedForDirectTransfersAndApart) {
  constexpr std::size_t kBlock = 64 << 10;
  const Staging staging(kBlock, 16 * kBlock);
  for (std::size_t i = 0; i < staging.slot_count(); ++i) {
    EXPECT_EQ(staging.slot(i).size(), kBlock);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(staging.slot(i).data()) % 4096, 0U);
    std::ranges::fill(staging.slot(i), static_cast<std::byte>(i));
  }
  for (std::size_t i = 0; i < staging.slot_count(); ++i) {
    EXPECT_THAT(staging.slot(i), ::testing::Each(static_cast<std::byte>(i)));
  }
}

TEST(Staging, TheTwoArenasAreTwo) {
  constexpr std::size_t kBlock = 64 << 10;
  Staging staging(kBlock, 8 * kBlock);
  EXPECT_NE(staging.incoming().try_take(2 * kBlock), nullptr);
  EXPECT_NE(staging.outgoing().try_take(2 * kBlock), nullptr);
  EXPECT_EQ(staging.incoming().try_take(1), nullptr);
}

}  // namespace
}  // namespace cairn::coord
