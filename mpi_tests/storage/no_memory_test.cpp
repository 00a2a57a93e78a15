// Where memory ends in the middle of what cannot fail, the process goes on.
#include <cstdlib>
#include <memory>
#include <new>

#include "storage/commit.hpp"
#include "storage/directory.hpp"
#include "storage/sample_directory.hpp"
#include "storage/trash.hpp"

namespace {

/// 1: no allocation of this thread works; more: so many less one do before; 0: all do.
thread_local int allocations_left = 0;

void* allocate(std::size_t bytes) {
  if (allocations_left == 1) throw std::bad_alloc();
  if (allocations_left > 1) --allocations_left;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace cairn::storage {
namespace {

constexpr const char* kName = "CKP-1_7.h5";

class NoMemory : public cairn::testing::DirectoryTest {
 protected:
  /// Runs `step` again and again, with memory ending at its first allocation, then at its second, and
  /// so on, until all of them work.
  template <class Step>
  static void fail_each(Step&& step) {
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
};

TEST_F(NoMemory, ToLookWhetherAFileIsHeldThenItStaysOrIsGone) {
  const std::filesystem::path path = at("x");
  fail_each([&](auto&& with_failure) {
    put("x", "text");
    bool gone = false;
    with_failure([&] { gone = remove_unless_held(path); });
    EXPECT_EQ(gone, !exists("x"));
  });
  EXPECT_FALSE(exists("x"));
}

TEST_F(NoMemory, ToMakeATemporaryFileThenItIsAnError) {
  fail_each([&](auto&& with_failure) {
    with_failure([&] {
      try {
        Commit commit(at(kName), cairn::testing::sample_identity(), true);
        static_cast<void>(commit.create());
      } catch (const std::exception&) {
      }
    });
  });
  EXPECT_TRUE(names().empty());
}

TEST_F(NoMemory, ToDiscardWhatWasReplacedThenTheNewOneStays) {
  fail_each([&](auto&& with_failure) {
    put(kName, "old");
    Commit commit(at(kName), cairn::testing::sample_identity(), true);
    static_cast<void>(commit.create());
    commit.publish();
    with_failure([&] { commit.discard_replaced(); });
    EXPECT_EQ(text_in(kName), "");
  });
}

TEST_F(NoMemory, ForTheTrashThenItIsDeletedOrLeftToASweep) {
  fail_each([&](auto&& with_failure) {
    std::filesystem::create_directory(at("x"));
    put("x/y", "text");
    Trash trash;
    std::filesystem::path given = at("x");
    with_failure([&] { trash.put(std::move(given)); });
  });
  EXPECT_FALSE(exists("x"));
}

}  // namespace
}  // namespace cairn::storage
