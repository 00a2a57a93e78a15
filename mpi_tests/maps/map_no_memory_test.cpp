// A save of maps finds no memory: what it froze is given back, and its commit needs none.
#include "base/ending_memory.hpp"
#include "base/map_access.hpp"
#include "cairn/cairn.hpp"
#include "coord/map_save.hpp"

namespace cairn::test {
namespace {

class MapsWithoutMemory : public ::testing::Test {
 protected:
  MapsWithoutMemory() {
    state_.add("emb", first_).add("other", second_);
    put(1);
  }
  void put(std::int64_t key) {
    const std::vector<float> row(3);
    first_.put(key, std::span(row));
    second_.put(key, std::span(row));
  }
  [[nodiscard]] bool any_in_flight() const {
    return MapAccess::table(first_).in_flight() || MapAccess::table(second_).in_flight();
  }

  MapParameter first_ = MapParameter::of<std::int64_t, float>({3});
  MapParameter second_ = MapParameter::of<std::int64_t, float>({3});
  State state_;
  coord::Comm comm_{MPI_COMM_SELF, std::chrono::seconds{60}};
};

TEST_F(MapsWithoutMemory, ToBeginASaveThenNoneOfThemStaysInFlight) {
  end_memory_everywhere([&](auto&& with_failure) {
    with_failure([&] {
      try {
        storage::Record record;
        const coord::MapSave save(comm_, state_, coord::SaveKind::integrated, true, record);
      } catch (const std::exception&) {
      }
    });
    EXPECT_FALSE(any_in_flight());
  });
}

TEST_F(MapsWithoutMemory, ToCommitThenTheyKnowSinceWhen) {
  storage::Record record;
  coord::MapSave save(comm_, state_, coord::SaveKind::integrated, true, record);
  EXPECT_TRUE(any_in_flight());
  allocations_left = 1;
  save.commit();
  allocations_left = 0;
  EXPECT_FALSE(any_in_flight());
  EXPECT_NE(MapAccess::table(first_).since(), MapTable::Since{});
  EXPECT_NE(MapAccess::table(first_).since(), MapAccess::table(second_).since());
}

}  // namespace
}  // namespace cairn::test
