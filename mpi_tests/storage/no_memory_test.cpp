// Where memory ends in the middle of what cannot fail, the process goes on.
#include <memory>
#include <new>

#include "base/ending_memory.hpp"
#include "storage/commit.hpp"
#include "storage/directory.hpp"
#include "storage/listing.hpp"
#include "storage/sample_directory.hpp"
#include "storage/series.hpp"
#include "storage/trash.hpp"

namespace cairn::storage {
namespace {

constexpr const char* kName = "CKP-1_7.h5";

using cairn::test::end_memory_everywhere;
using NoMemory = cairn::testing::DirectoryTest;

TEST_F(NoMemory, ToLookWhetherAFileIsHeldThenItStaysOrIsGone) {
  const std::filesystem::path path = at("x");
  end_memory_everywhere([&](auto&& with_failure) {
    put("x", "text");
    bool gone = false;
    with_failure([&] { gone = remove_unless_held(path); });
    EXPECT_EQ(gone, !exists("x"));
  });
  EXPECT_FALSE(exists("x"));
}

TEST_F(NoMemory, ToMakeATemporaryFileThenItIsAnError) {
  end_memory_everywhere([&](auto&& with_failure) {
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
  end_memory_everywhere([&](auto&& with_failure) {
    put(kName, "old");
    Commit commit(at(kName), cairn::testing::sample_identity(), true);
    static_cast<void>(commit.create());
    commit.publish();
    with_failure([&] { commit.discard_replaced(); });
    EXPECT_EQ(text_in(kName), "");
  });
}

TEST_F(NoMemory, ForTheTrashThenItIsDeletedOrLeftToASweep) {
  end_memory_everywhere([&](auto&& with_failure) {
    std::filesystem::create_directory(at("x"));
    put("x/y", "text");
    Trash trash;
    std::filesystem::path given = at("x");
    with_failure([&] { trash.put(std::move(given)); });
  });
  EXPECT_FALSE(exists("x"));
}

TEST_F(NoMemory, ToCountBytesThenThoseSeenCount) {
  std::filesystem::create_directory(at("x.shards"));
  put("x.shards/y", "text");
  const std::filesystem::path path = at("x.shards");
  std::uint64_t bytes = 0;
  end_memory_everywhere([&](auto&& with_failure) {
    with_failure([&] { bytes = bytes_on_disk(path); });
    EXPECT_TRUE(bytes == 0 || bytes == 4);
  });
  EXPECT_EQ(bytes, 4U);
}

TEST_F(NoMemory, ToDiscardWhatRanksSavedAloneThenTheNewOneCounts) {
  constexpr const char* kBreakpoint = "CKP-1_7_breakpoint.h5";
  constexpr const char* kLone = "CKP-1_7_breakpoint.rank0of2.shard";
  const SweepRules rules{cairn::testing::sample_identity(), std::chrono::hours(24), {}};
  const Record record = record_for(kBreakpoint, 9);
  end_memory_everywhere([&](auto&& with_failure) {
    std::filesystem::remove(at(kLone));
    put_image(kLone, record_for(kBreakpoint, 4));
    Series series(Catalog(at("").parent_path(), Place{"", "CKP"}), 0, rules);
    with_failure([&] {
      try {
        series.committed(at(kBreakpoint), record);
      } catch (const std::bad_alloc&) {
      }
    });
  });
  EXPECT_FALSE(exists(kLone));
}

}  // namespace
}  // namespace cairn::storage
