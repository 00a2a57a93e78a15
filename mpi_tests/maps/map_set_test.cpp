// Which maps a State has must be the same on all ranks, at a load as at a save.
#include "maps/table.hpp"

namespace cairn::test {
namespace {

MapParameter of_rows(std::uint64_t elements) {
  return MapParameter::of<std::int64_t, float>({elements});
}

class MapSets : public World {
 protected:
  /// "a" has the keys from 0 on, "b" those from 5000 on.
  MapSets() {
    for (std::int64_t key = 0; key < 500; ++key) {
      a_.put(key, static_cast<float>(key));
      b_.put(5000 + key, -static_cast<float>(key));
    }
    State state;
    rank() == 0 ? state.add("a", a_.map()).add("b", b_.map())
                : state.add("b", b_.map()).add("a", a_.map());
    save(MPI_COMM_WORLD, file_, state);
  }
  void expect_refused(State& state, const LoadOptions& options = {},
                      const std::vector<std::string>& words = {"MapParameters", "rank 1"}) {
    std::vector<std::string> all = words;
    all.emplace_back("state unchanged");
    expect_error([&] { load(MPI_COMM_WORLD, file_, state, options); },
                 ErrorCode::invalid_argument, all);
  }
  static LoadOptions lenient() {
    LoadOptions options;
    options.strict = false;
    return options;
  }

  std::filesystem::path file_ = path("x.h5");
  MapAndTruth a_;
  MapAndTruth b_;
};

TEST_F(MapSets, RanksAddThemInAnotherOrderThenEachIsFilledFromItsOwn) {
  MapParameter a = of_rows(3);
  MapParameter b = of_rows(3);
  State state;
  rank() == 0 ? state.add("a", a).add("b", b) : state.add("b", b).add("a", a);
  load(MPI_COMM_WORLD, file_, state);
  a_.expect_in(a, MPI_COMM_WORLD);
  b_.expect_in(b, MPI_COMM_WORLD);
}

TEST_F(MapSets, ARankDoesNotAddOneThenTheLoadIsRefusedEverywhere) {
  if (ranks() == 1) GTEST_SKIP();
  MapParameter a = of_rows(3);
  MapParameter b = of_rows(3);
  State state;
  state.add("a", a);
  if (rank() != 1) state.add("b", b);
  expect_refused(state);
  expect_refused(state, lenient());
  State of_one;
  if (rank() == 1) of_one.add("a", a);
  expect_refused(of_one, lenient());
}

TEST_F(MapSets, ARankHasOtherSettingsThenTheLoadIsRefusedEverywhere) {
  if (ranks() == 1) GTEST_SKIP();
  MapParameter a = of_rows(rank() == 1 ? 4 : 3);
  MapParameter b = of_rows(3);
  State state;
  state.add("a", a).add("b", b);
  expect_refused(state);
  expect_refused(state, lenient());
}

TEST_F(MapSets, ARanksFilterSaysOtherwiseThenTheLoadIsRefusedEverywhere) {
  if (ranks() == 1) GTEST_SKIP();
  MapParameter a = of_rows(3);
  MapParameter b = of_rows(3);
  State state;
  state.add("a", a).add("b", b);
  LoadOptions options = lenient();
  options.filter = [](std::string_view name) { return name == "a" || rank() != 1; };
  expect_refused(state, options, {"MapParameters that a load fills", "rank 1"});
}

TEST_F(MapSets, OneMapHasTwoNamesThenItIsRefusedByBoth) {
  MapParameter map = of_rows(3);
  State state;
  state.add("b", map).add("a", map);
  expect_refused(state, {}, {"map_parameter \"a\" and map_parameter \"b\" are one object"});
  expect_error([&] { save(MPI_COMM_WORLD, path("y.h5"), state); }, ErrorCode::invalid_argument,
               {"map_parameter \"a\" and map_parameter \"b\" are one object"});
}

TEST_F(MapSets, AfterALoadTheSettingsTellTheDefaultRowThatWasStored) {
  MapParameter a = of_rows(3);
  MapParameter b = of_rows(3);
  State state;
  state.add("a", a).add("b", b);
  load(MPI_COMM_WORLD, file_, state);
  EXPECT_EQ(a.settings().default_row, a_.map().settings().default_row);
  EXPECT_NE(a.settings().default_row, std::vector<std::byte>(12));
}

}  // namespace
}  // namespace cairn::test
