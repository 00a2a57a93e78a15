#include "storage/aligned_buffer.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "storage/posix_file.hpp"

namespace cairn::storage {
namespace {

constexpr std::size_t kBytes = std::size_t{3} << 20;

bool is_mapped(const void* page) {
  unsigned char resident = 0;
  return ::mincore(const_cast<void*>(page), kDirectAlignment, &resident) == 0;
}

TEST(AlignedBuffer, GivenBackThenTheNextOneOfItsSizeIsTheSameMemory) {
  std::byte* first = nullptr;
  {
    const AlignedBuffer buffer(kBytes);
    first = buffer.data();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % kDirectAlignment, 0U);
  }
  const AlignedBuffer other(kBytes + kDirectAlignment);
  EXPECT_NE(other.data(), first);
  const AlignedBuffer again(kBytes);
  EXPECT_EQ(again.data(), first);
  const AlignedBuffer another(kBytes);
  EXPECT_NE(another.data(), first);
}

TEST(AlignedBuffer, MoreThanIsKeptThenGivenBackToTheSystem) {
  const void* large = nullptr;
  {
    const AlignedBuffer buffer(AlignedBuffer::kMostKept + kDirectAlignment);
    large = buffer.data();
    ASSERT_TRUE(is_mapped(large));
  }
  EXPECT_FALSE(is_mapped(large));
  // All of these together are more, too.
  std::vector<const void*> pages;
  {
    std::vector<AlignedBuffer> many;
    for (std::size_t bytes = 0; bytes <= AlignedBuffer::kMostKept; bytes += 4 * kBytes) {
      many.emplace_back(4 * kBytes);
      pages.push_back(many.back().data());
    }
  }
  std::size_t kept = 0;
  for (const void* page : pages) kept += is_mapped(page) ? 4 * kBytes : 0;
  EXPECT_LE(kept, AlignedBuffer::kMostKept);
  EXPECT_GT(kept, 0U);
}

TEST(AlignedBuffer, WhatWasNotAskedForLongestGoesFirst) {
  constexpr std::size_t kHalf = AlignedBuffer::kMostKept / 2;
  const void* oldest = nullptr;
  const void* older = nullptr;
  for (const std::size_t bytes : {kHalf, kHalf - kDirectAlignment}) {
    const AlignedBuffer buffer(bytes);
    (bytes == kHalf ? oldest : older) = buffer.data();
  }
  { const AlignedBuffer buffer(kBytes); }
  EXPECT_FALSE(is_mapped(oldest));
  EXPECT_TRUE(is_mapped(older));
  const AlignedBuffer again(kHalf - kDirectAlignment);
  EXPECT_EQ(again.data(), older);
}

TEST(AlignedBuffer, SeveralThreadsThenNobodySharesMemory) {
  const auto work = [](std::byte mark) {
    for (int i = 0; i < 200; ++i) {
      AlignedBuffer buffer(kDirectAlignment);
      buffer.data()[0] = mark;
      std::this_thread::yield();
      ASSERT_EQ(buffer.data()[0], mark);
    }
  };
  std::vector<std::jthread> threads;
  for (int n = 1; n <= 4; ++n) threads.emplace_back(work, static_cast<std::byte>(n));
}

}  // namespace
}  // namespace cairn::storage
