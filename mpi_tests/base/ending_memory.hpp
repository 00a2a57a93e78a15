#pragma once

// For one source of a program: memory that ends when the test says so.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

namespace cairn::test {

/// 1: no allocation of this thread works; more: so many less one do before; 0: all do.
inline thread_local int allocations_left = 0;

/// Runs `step(with_failure)` again and again; what that calls `with_failure` with finds that memory
/// ends at its first allocation, then at its second, and so on, until it gets all that it wants.
template <class Step>
void end_memory_everywhere(Step&& step) {
  bool failed = true;
  for (int n = 1; failed; ++n) {
    ASSERT_LT(n, 10000);
    step([&](auto&& armed) {
      allocations_left = n;
      armed();
      failed = allocations_left == 1;
      allocations_left = 0;
    });
  }
}

inline void* allocate(std::size_t bytes) {
  if (allocations_left == 1) throw std::bad_alloc();
  if (allocations_left > 1) --allocations_left;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace cairn::test

void* operator new(std::size_t bytes) { return cairn::test::allocate(bytes); }
void* operator new[](std::size_t bytes) { return cairn::test::allocate(bytes); }
// By default it calls the first one, but a sanitizer's allocates by itself.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return cairn::test::allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
