#include "allocation_gauge.hpp"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace bench {
namespace {

std::atomic<bool> counts{false};
std::atomic<std::int64_t> now{0};
std::atomic<std::int64_t> most{0};

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void* take(std::size_t bytes) {
  void* const memory = std::malloc(std::max<std::size_t>(bytes, 1));
  if (memory == nullptr) throw std::bad_alloc();
  if (counts.load(std::memory_order_relaxed)) {
    const auto taken = static_cast<std::int64_t>(malloc_usable_size(memory));
    const std::int64_t live = now.fetch_add(taken, std::memory_order_relaxed) + taken;
    if (live > most.load(std::memory_order_relaxed)) most.store(live, std::memory_order_relaxed);
  }
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory != nullptr && counts.load(std::memory_order_relaxed)) {
    now.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)),
                  std::memory_order_relaxed);
  }
  std::free(memory);
}

#endif

}  // namespace

AllocationGauge::AllocationGauge() {
  now = 0;
  most = 0;
  counts = true;
}

AllocationGauge::~AllocationGauge() { counts = false; }

std::int64_t AllocationGauge::live() { return now; }

std::int64_t AllocationGauge::peak() { return most; }

}  // namespace bench

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void* operator new(std::size_t bytes) { return bench::take(bytes); }
void operator delete(void* memory) noexcept { bench::give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { bench::give_back(memory); }

#endif
