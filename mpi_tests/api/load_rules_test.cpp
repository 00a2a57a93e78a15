// What is loaded when the state and the file are not the same.
#include <numeric>

#include "api/world.hpp"

namespace cairn::test {
namespace {

using Names = std::vector<std::string>;

class LoadRules : public World {
 protected:
  /// The file: "a" float32 [60] = 0, 1, 2, …, "b" int32 [4] = 7, "model.c" float64 [] = 1.5.
  LoadRules() {
    std::vector<float> a = part_of_a<float>();
    std::vector<std::int32_t> b(4, 7);
    double c = 1.5;
    State state;
    state.add("a", std::span(a), slice_of_a()).add("b", std::span(b), whole({4})).add("model.c", c);
    save(MPI_COMM_WORLD, path("x.h5"), state);
  }

  static Slice slice_of_a() { return split({60}, 0, rank(), ranks()); }
  template <class T>
  static std::vector<T> part_of_a() {
    const Slice slice = slice_of_a();
    std::vector<T> values(slice.extent[0]);
    std::iota(values.begin(), values.end(), static_cast<T>(slice.offset[0]));
    return values;
  }
  LoadReport load_with(State& state, const LoadOptions& options) {
    return load(MPI_COMM_WORLD, path("x.h5"), state, options);
  }
};

TEST_F(LoadRules, NotStrictLoadsWhatFitsAndListsTheRest) {
  std::vector<float> a(slice_of_a().extent[0]);
  std::vector<std::int32_t> b(5, -1);
  float more = -1;
  State state;
  state.add("a", std::span(a), slice_of_a()).add("b", std::span(b), whole({5}));
  if (rank() == ranks() - 1) state.add("more", more);  // on one rank only
  const LoadReport report = load_with(state, {.strict = false});
  EXPECT_EQ(a, part_of_a<float>());
  EXPECT_EQ(b, std::vector<std::int32_t>(5, -1));
  EXPECT_EQ(more, -1);
  EXPECT_EQ(report.missing, Names{"\"more\" float32 []"});
  EXPECT_EQ(report.extra, Names{"\"model.c\" float64 []"});
  EXPECT_EQ(report.different, Names{"\"b\" is int32 [4] in the file, int32 [5] in the state"});
}

TEST_F(LoadRules, StrictAfterAFilterLooksAtItsTensorsOnly) {
  std::vector<float> a(slice_of_a().extent[0]);
  float untouched = -1;
  State state;
  state.add("a", std::span(a), slice_of_a()).add("untouched", untouched);
  const LoadReport report =
      load_with(state, {.filter = [](std::string_view name) { return name == "a"; }});
  EXPECT_EQ(a, part_of_a<float>());
  EXPECT_EQ(untouched, -1);
  EXPECT_TRUE(report.missing.empty() && report.extra.empty() && report.different.empty());
}

TEST_F(LoadRules, PrefixesAreAddedAndStripped) {
  double c = 0;
  State state;
  state.add("network.c", c);
  const LoadOptions options{.strip_prefix = "network.", .add_prefix = "model."};
  load_with(state, options);  // strict: of the file only "model.…" is asked for
  EXPECT_EQ(c, 1.5);
}

TEST_F(LoadRules, OneTensorInPart) {
  float middle[3] = {0, 0, 0};
  State state;
  if (rank() == 0) state.add("a", std::span(middle), Slice{{60}, {30}, {3}});
  const LoadReport report = load_with(state, {.strict = false});
  if (rank() == 0) {
    EXPECT_EQ(middle[0], 30.0F);
    EXPECT_EQ(middle[2], 32.0F);
  }
  EXPECT_EQ(report.bytes_filled, 12U);
}

TEST_F(LoadRules, TypesAreConvertedWhenAskedForAndNeverSilently) {
  std::vector<double> a(slice_of_a().extent[0]);
  std::vector<std::uint8_t> b(4);
  float c = 0;
  State state;
  state.add("a", std::span(a), slice_of_a()).add("b", std::span(b), whole({4})).add("model.c", c);
  expect_error([&] { load_with(state, {}); }, ErrorCode::mismatch,
               {"different: \"a\" is float32 [60] in the file, float64 [60] in the state"});
  EXPECT_EQ(c, 0);
  load_with(state, {.convert_dtype = true});
  EXPECT_EQ(a, part_of_a<double>());
  EXPECT_EQ(b, std::vector<std::uint8_t>(4, 7));
  EXPECT_EQ(c, 1.5F);
}

TEST_F(LoadRules, FloatsDoNotBecomeIntegers) {
  std::vector<std::int32_t> a(slice_of_a().extent[0]);
  State state;
  state.add("a", std::span(a), slice_of_a());
  const LoadReport report = load_with(state, {.strict = false, .convert_dtype = true});
  EXPECT_EQ(report.different,
            Names{"\"a\" is float32 [60] in the file, int32 [60] in the state"});
}

TEST_F(LoadRules, AValueThatDoesNotFitIsAnErrorUnlessAllowed) {
  {
    std::vector<std::int32_t> b{1, 2, 300, 4};
    State state;
    state.add("b", std::span(b), whole({4}));
    save(MPI_COMM_WORLD, path("x.h5"), state);
  }
  std::vector<std::int8_t> b(4);
  State state;
  state.add("b", std::span(b), whole({4}));
  expect_error([&] { load_with(state, {.convert_dtype = true}); }, ErrorCode::mismatch,
               {"\"b\"", "element 2", "int32", "does not fit in int8", "unspecified"});
  load_with(state, {.convert_dtype = true, .allow_overflow = true});
  EXPECT_EQ(b, (std::vector<std::int8_t>{1, 2, 44, 4}));
}

TEST_F(LoadRules, ElementsThatABlockBoundaryCutsAreConvertedWhole) {
  const Shape shape{100'000};
  std::vector<std::byte> odd(3);
  std::vector<double> wide(split(shape, 0, rank(), ranks()).extent[0]);
  const Slice slice = split(shape, 0, rank(), ranks());
  for (std::size_t i = 0; i < wide.size(); ++i) {
    wide[i] = static_cast<double>(slice.offset[0] + i);
  }
  State from;
  from.add("a", whole({3}), Source::memory(DType::uint8, odd.data()));
  from.add("b", std::span(wide), slice);
  SaveOptions options;
  options.block_bytes = 65536;
  save(MPI_COMM_WORLD, path("x.h5"), from, options);
  // Columns of the same values as seen by other ranks: every rank takes all of them.
  std::vector<float> narrow(100'000);
  State to;
  to.add("b", std::span(narrow), whole(shape));
  load_with(to, {.strict = false, .convert_dtype = true});
  for (std::size_t i = 0; i < narrow.size(); ++i) ASSERT_EQ(narrow[i], static_cast<float>(i));
}

}  // namespace
}  // namespace cairn::test
