#include "storage/block_io.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <latch>
#include <map>
#include <numeric>
#include <thread>

#include "storage/aligned_buffer.hpp"
#include "storage/expect_error.hpp"
#include "storage/scratch_directory.hpp"

namespace {
bool threads_are_refused = false;
int threads_started = 0;
}  // namespace

// What starts a thread goes through here.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) {
  static const auto real =
      reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_are_refused) return EAGAIN;
  ++threads_started;
  return real(thread, attributes, run, argument);
}

namespace cairn::storage {
namespace {

using cairn::testing::ScratchDirectory;
using ::testing::HasSubstr;

constexpr std::size_t kBlock = 4 * kDirectAlignment;

/// Recognisable bytes of block `i`.
void fill_block(std::span<std::byte> block, std::size_t i) {
  for (std::size_t at = 0; at < block.size(); ++at) {
    block[at] = static_cast<std::byte>(at * 7 + at / 256 + i * 31);
  }
}

class BlockIoTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::span<std::byte> block(std::size_t i) const {
    return memory_.bytes().subspan(i * kBlock, kBlock);
  }
  static std::vector<std::byte> expected(std::size_t i) {
    std::vector<std::byte> bytes(kBlock);
    fill_block(bytes, i);
    return bytes;
  }
  [[nodiscard]] std::vector<std::byte> on_disk(std::size_t place) const {
    std::vector<std::byte> bytes(kBlock);
    file_.read(bytes, place * kBlock);
    return bytes;
  }

  /// The errors by token, once `count` requests are complete; each token comes once.
  static std::map<std::size_t, std::optional<Error>> complete(BlockIo& io, std::size_t count) {
    std::map<std::size_t, std::optional<Error>> completed;
    while (completed.size() < count) {
      auto completion = io.poll();
      if (!completion) {
        std::this_thread::yield();
        continue;
      }
      const auto [at, is_new] = completed.emplace(completion->token, completion->error);
      EXPECT_TRUE(is_new) << "token " << at->first << " twice";
    }
    EXPECT_FALSE(io.poll().has_value());
    return completed;
  }

  static constexpr std::size_t kBlocks = 40;
  ScratchDirectory directory_;
  PosixFile file_ = PosixFile::create(directory_ / "blocks");
  AlignedBuffer memory_{kBlocks * kBlock};
};

TEST_F(BlockIoTest, WithoutRequestsThenNothingIsComplete) {
  BlockIo io(BlockIo::Direction::read);
  EXPECT_FALSE(io.poll().has_value());
}

TEST_F(BlockIoTest, WhoWaitsIsWokenByTheNextCompletion) {
  BlockIo io(BlockIo::Direction::write);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    io.submit(file_, block(i), i * kBlock, i);
    io.wait(std::chrono::hours(1));  // who is not woken runs into the test's time limit
    ASSERT_TRUE(io.poll().has_value()) << i;
  }
}

TEST_F(BlockIoTest, WhoWaitsForACompletionThatIsThereDoesNotSleep) {
  BlockIo io(BlockIo::Direction::write);
  io.submit(file_, block(0), 0, 0);
  io.submit(file_, block(1), kBlock, 1);
  io.wait(std::chrono::hours(1));
  io.wait(std::chrono::hours(1));
  EXPECT_EQ(complete(io, 2).size(), 2U);
}

TEST_F(BlockIoTest, WithoutRequestsAWaitEnds) {
  BlockIo io(BlockIo::Direction::read);
  const auto begin = std::chrono::steady_clock::now();
  io.wait(std::chrono::milliseconds(20));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
  EXPECT_FALSE(io.poll().has_value());
}

TEST_F(BlockIoTest, ThereAreAsManyThreadsAsBlocksUnderWay) {
  threads_started = 0;
  BlockIo io(BlockIo::Direction::write);
  EXPECT_EQ(threads_started, 0);
  for (std::size_t i = 0; i < 3; ++i) {
    io.submit(file_, block(i), i * kBlock, i);
    complete(io, 1);
    EXPECT_EQ(threads_started, 1);
  }
}

TEST_F(BlockIoTest, WhereTheSystemHasNoThreadToGiveTheCallerWrites) {
  threads_started = 0;
  BlockIo io(BlockIo::Direction::write);
  threads_are_refused = true;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    fill_block(block(i), i);
    io.submit(file_, block(i), i * kBlock, i);
    if (i == kBlocks / 2) threads_are_refused = false;  // it has some again
  }
  EXPECT_EQ(complete(io, kBlocks).size(), kBlocks);
  EXPECT_GE(threads_started, 1);
  for (std::size_t i = 0; i < kBlocks; ++i) EXPECT_EQ(on_disk(i), expected(i)) << i;
}

TEST_F(BlockIoTest, WhereALaterThreadIsRefusedTheFirstWritesAll) {
  BlockIo io(BlockIo::Direction::write);
  io.submit(file_, block(0), 0, 0);
  threads_are_refused = true;
  for (std::size_t i = 1; i < kBlocks; ++i) io.submit(file_, block(i), i * kBlock, i);
  EXPECT_EQ(complete(io, kBlocks).size(), kBlocks);
  threads_are_refused = false;
}

/// Holds every block until so many are under way.
class Gate final : public BlockFilter {
 public:
  explicit Gate(std::ptrdiff_t blocks) : blocks_(blocks) {}
  void apply(std::span<std::byte>, std::uint64_t) override { blocks_.arrive_and_wait(); }

 private:
  std::latch blocks_;
};

TEST_F(BlockIoTest, FourBlocksAreUnderWayAtOnce) {
  // With fewer threads the first of them waits into the test's time limit.
  Gate gate(4);
  BlockIo io(BlockIo::Direction::write, &gate);
  for (std::size_t i = 0; i < 4; ++i) io.submit(file_, block(i), i * kBlock, i);
  EXPECT_EQ(complete(io, 4).size(), 4U);
}

TEST_F(BlockIoTest, EveryWriteCompletesOnceWithItsTokenAndIsInTheFile) {
  BlockIo io(BlockIo::Direction::write);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    fill_block(block(i), i);
    io.submit(file_, block(i), (kBlocks - 1 - i) * kBlock, 1000 + i);
  }
  for (const auto& [token, error] : complete(io, kBlocks)) {
    EXPECT_FALSE(error.has_value()) << token;
    EXPECT_GE(token, 1000U);
    EXPECT_LT(token, 1000U + kBlocks);
  }
  for (std::size_t i = 0; i < kBlocks; ++i) EXPECT_EQ(on_disk(kBlocks - 1 - i), expected(i)) << i;
}

TEST_F(BlockIoTest, EveryReadCompletesOnceWithItsTokenAndIsInMemory) {
  for (std::size_t i = 0; i < kBlocks; ++i) file_.write(expected(i), i * kBlock);
  BlockIo io(BlockIo::Direction::read);
  for (std::size_t i = 0; i < kBlocks; ++i) io.submit(file_, block(i), i * kBlock, i);
  for (const auto& [token, error] : complete(io, kBlocks)) {
    ASSERT_FALSE(error.has_value()) << error->what();
    EXPECT_TRUE(std::ranges::equal(block(token), expected(token))) << token;
  }
}

TEST_F(BlockIoTest, LooseBytesAreInTheBlockBeforeItIsWritten) {
  const std::vector<std::byte> whole = expected(9);
  fill_block(block(0), 9);
  // Three runs are missing: at the beginning, in the middle, to the end.
  std::vector<LooseBytes> loose;
  for (const auto& [at, count] : {std::pair<std::size_t, std::size_t>{0, 100}, {777, 9000},
                                  {kBlock - 5, 5}}) {
    std::ranges::fill(block(0).subspan(at, count), std::byte{0xEE});
    loose.push_back({at, std::span(whole).subspan(at, count)});
  }
  BlockIo io(BlockIo::Direction::write);
  io.submit(file_, block(0), 0, 0, 0, std::move(loose));
  EXPECT_FALSE(complete(io, 1).at(0).has_value());
  EXPECT_EQ(on_disk(0), whole);
}

TEST_F(BlockIoTest, LongLooseBytesAreInTheFileAndTheirBlockIsNotTouched) {
  constexpr std::size_t kBytes = 64 * kDirectAlignment;
  constexpr std::size_t kLong = std::size_t{64} << 10;
  constexpr std::byte kUntouched{0xEE};
  std::vector<std::byte> whole(kBytes);
  fill_block(whole, 9);
  const std::span<std::byte> large = memory_.bytes().first(kBytes);
  // Two long runs with bytes of the block between them, one that is short by one byte; out of order.
  std::vector<LooseBytes> loose;
  std::ranges::copy(whole, large.begin());
  for (const auto& [at, count] : {std::pair<std::size_t, std::size_t>{2 * kLong + 100, kLong},
                                  {3 * kLong + 4096, kLong - 1}, {10, kLong + 7}}) {
    std::ranges::fill(large.subspan(at, count), kUntouched);
    loose.push_back({at, std::span(whole).subspan(at, count)});
  }
  BlockIo io(BlockIo::Direction::write);
  io.submit(file_, large, kBlock, 0, 0, std::move(loose));
  EXPECT_FALSE(complete(io, 1).at(0).has_value());
  std::vector<std::byte> found(kBytes);
  file_.read(found, kBlock);
  EXPECT_EQ(found, whole);
  EXPECT_EQ(large[10], kUntouched);
  EXPECT_EQ(large[3 * kLong + 4096], whole[3 * kLong + 4096]);
}

TEST_F(BlockIoTest, PastThePageCacheItIsTheSame) {
  if (!file_.set_direct(true)) GTEST_SKIP() << "this file system does not take O_DIRECT";
  {
    BlockIo io(BlockIo::Direction::write);
    for (std::size_t i = 0; i < kBlocks; ++i) {
      fill_block(block(i), i);
      io.submit(file_, block(i), i * kBlock, i);
    }
    for (const auto& [token, error] : complete(io, kBlocks)) EXPECT_FALSE(error) << token;
  }
  file_.set_direct(false);
  for (std::size_t i = 0; i < kBlocks; ++i) EXPECT_EQ(on_disk(i), expected(i)) << i;
}

TEST_F(BlockIoTest, SlotsAreUsedAgainAsTheyComplete) {
  BlockIo io(BlockIo::Direction::write);
  constexpr std::size_t kSlots = 3;
  std::vector<std::size_t> free(kSlots);
  std::iota(free.begin(), free.end(), 0);
  for (std::size_t next = 0; next < kBlocks || free.size() < kSlots;) {
    if (next < kBlocks && !free.empty()) {
      fill_block(block(free.back()), next);
      io.submit(file_, block(free.back()), next * kBlock, free.back());
      free.pop_back();
      ++next;
    }
    if (auto completion = io.poll()) {
      EXPECT_FALSE(completion->error.has_value());
      free.push_back(completion->token);
    }
  }
  for (std::size_t i = 0; i < kBlocks; ++i) EXPECT_EQ(on_disk(i), expected(i)) << i;
}

TEST_F(BlockIoTest, AReadPastTheEndIsACompletionThatNamesTheOffset) {
  file_.write(expected(0), 0);
  BlockIo io(BlockIo::Direction::read);
  io.submit(file_, block(0), 0, 7);
  io.submit(file_, block(1), 5 * kBlock, 8);
  const auto completed = complete(io, 2);
  EXPECT_FALSE(completed.at(7).has_value());
  ASSERT_TRUE(completed.at(8).has_value());
  EXPECT_EQ(completed.at(8)->code(), ErrorCode::damaged);
  EXPECT_THAT(completed.at(8)->what(), HasSubstr("offset " + std::to_string(5 * kBlock)));
}

TEST_F(BlockIoTest, AWriteThatTheSystemRefusesIsACompletionThatNamesTheOffset) {
  const PosixFile closed_to_writers = PosixFile::open_for_reading(directory_ / "blocks");
  BlockIo io(BlockIo::Direction::write);
  io.submit(closed_to_writers, block(0), 3 * kBlock, 0);
  io.submit(closed_to_writers, block(1), 9 * kBlock, 1);
  const auto completed = complete(io, 2);
  for (const auto& [token, place] : {std::pair{0, 3}, std::pair{1, 9}}) {
    const auto& error = completed.at(static_cast<std::size_t>(token));
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::io);
    EXPECT_THAT(error->what(),
                HasSubstr("write at offset " + std::to_string(place * static_cast<int>(kBlock))));
  }
}

TEST_F(BlockIoTest, ItGoesOnAfterAnError) {
  BlockIo io(BlockIo::Direction::read);
  io.submit(file_, block(0), kBlock, 0);
  EXPECT_TRUE(complete(io, 1).at(0).has_value());
  file_.write(expected(3), kBlock);
  io.submit(file_, block(0), kBlock, 0);
  EXPECT_FALSE(complete(io, 1).at(0).has_value());
  EXPECT_TRUE(std::ranges::equal(block(0), expected(3)));
}

TEST_F(BlockIoTest, EachRequestGoesToItsOwnFile) {
  const PosixFile other = PosixFile::create(directory_ / "other");
  BlockIo io(BlockIo::Direction::write);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    fill_block(block(i), i);
    io.submit(i % 2 == 0 ? file_ : other, block(i), i / 2 * kBlock, i);
  }
  for (const auto& [token, error] : complete(io, kBlocks)) EXPECT_FALSE(error) << token;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    std::vector<std::byte> bytes(kBlock);
    (i % 2 == 0 ? file_ : other).read(bytes, i / 2 * kBlock);
    EXPECT_EQ(bytes, expected(i)) << i;
  }
}

TEST_F(BlockIoTest, AfterTheDestructorNoRequestTouchesMemoryOrFileAnyMore) {
  constexpr std::byte kGarbage{0xEE};
  for (int round = 0; round < 20; ++round) {
    file_.truncate(0);
    file_.truncate(kBlocks * kBlock);
    {
      BlockIo io(BlockIo::Direction::write);
      for (std::size_t i = 0; i < kBlocks; ++i) {
        fill_block(block(i), i);
        io.submit(file_, block(i), i * kBlock, i);
      }
    }
    std::ranges::fill(memory_.bytes(), kGarbage);
    const std::vector<std::byte> zeros(kBlock);
    for (std::size_t i = 0; i < kBlocks; ++i) {  // each is written whole, or was not begun
      const auto found = on_disk(i);
      EXPECT_TRUE(found == expected(i) || found == zeros) << i;
    }
  }
}

TEST(AlignedBuffer, IsAlignedZeroedAndMovable) {
  AlignedBuffer buffer(kBlock + 1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kDirectAlignment, 0U);
  EXPECT_EQ(buffer.size(), kBlock + 1);
  EXPECT_TRUE(std::ranges::all_of(buffer.bytes(), [](std::byte b) { return b == std::byte{0}; }));
  buffer.data()[kBlock] = std::byte{5};
  AlignedBuffer other = std::move(buffer);
  EXPECT_EQ(other.bytes().back(), std::byte{5});
  other = AlignedBuffer(10);
  EXPECT_EQ(other.size(), 10U);
}

TEST(AlignedBuffer, OfNoBytesIsEmptyAndOfTooManyThrows) {
  EXPECT_TRUE(AlignedBuffer(0).bytes().empty());
  EXPECT_THROW(AlignedBuffer(std::size_t{1} << 60U), std::bad_alloc);
}

}  // namespace
}  // namespace cairn::storage
