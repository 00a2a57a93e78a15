#include "plan/claim.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/message_of.hpp"

namespace cairn::plan {
namespace {

using namespace std::string_literals;
using cairn::testing::message_of;

std::string refusal(const State& state) {
  return message_of(ErrorCode::invalid_argument, [&] { describe(state); });
}

/// Of an entry that has memory enough for all of these tests.
std::string refusal(const Slice& slice) {
  static std::array<float, 64> values{};
  State state;
  state.add("w", slice, Source::memory(DType::float32, values.data()));
  return refusal(state);
}

TEST(Describe, EntriesThenAClaimForEachInTheirOrder) {
  std::vector<float> rows(6);
  std::vector<std::int64_t> column(4);
  double loss = 0;
  State state;
  state.add("w", std::span(rows), Slice{{4, 3}, {2, 0}, {2, 3}});
  state.add("loss", loss);
  state.add("column", {{4, 9}, {0, 8}, {4, 1}},
            Source::memory(DType::int64, column.data(), {8, 8}));
  state.add("w", std::span(rows), Slice{{4, 3}, {0, 0}, {2, 3}});
  const std::vector<Claim> claims = describe(state);
  ASSERT_EQ(claims.size(), 4U);
  EXPECT_EQ(claims[0].tensor, (TensorInfo{"w", DType::float32, {4, 3}}));
  EXPECT_EQ(claims[0].box, (Box{{2, 0}, {2, 3}}));
  EXPECT_EQ(claims[1].tensor, (TensorInfo{"loss", DType::float64, {}}));
  EXPECT_EQ(claims[1].box, Box{});
  EXPECT_EQ(claims[2].tensor, (TensorInfo{"column", DType::int64, {4, 9}}));
  EXPECT_EQ(claims[2].box, (Box{{0, 8}, {4, 1}}));
  EXPECT_EQ(claims[3].box, (Box{{0, 0}, {2, 3}}));
}

TEST(Describe, NothingThenNoClaims) {
  EXPECT_TRUE(describe(State{}).empty());
}

TEST(Describe, EmptySliceWithoutMemoryThenTaken) {
  State state;
  state.add("w", std::span<const float>(), Slice{{4, 3}, {4, 0}, {0, 3}});
  EXPECT_EQ(describe(state).at(0).box, (Box{{4, 0}, {0, 3}}));
}

TEST(Describe, EmptyNameThenRefused) {
  double value = 0;
  EXPECT_EQ(refusal(State().add("", value)), "tensor \"\": a name must not be empty");
}

TEST(Describe, NameTooLongThenRefusedAndShownInPart) {
  double value = 0;
  EXPECT_EQ(refusal(State().add(std::string(kLongestName, 'n'), value)), "");
  EXPECT_EQ(refusal(State().add(std::string(kLongestName + 1, 'n'), value)),
            "tensor \"" + std::string(100, 'n') +
                "\": the name has 16385 bytes, at most 16384 are taken");
}

TEST(Describe, TooManyDimensionsThenRefused) {
  EXPECT_EQ(refusal(whole(Shape(32, 1))), "");
  EXPECT_EQ(refusal(whole(Shape(33, 1))), "tensor \"w\": shape " + to_string(Shape(33, 1)) +
                                              " has 33 dimensions, at most 32 are taken");
}

TEST(Describe, OffsetOrExtentOfOtherRankThanTheShapeThenRefused) {
  EXPECT_EQ(refusal(Slice{{4, 3}, {0}, {4, 3}}),
            "tensor \"w\": offset [0] and extent [4, 3] must have as many entries as the global "
            "shape [4, 3]");
  EXPECT_EQ(refusal(Slice{{4}, {0}, {}}),
            "tensor \"w\": offset [0] and extent [] must have as many entries as the global "
            "shape [4]");
}

TEST(Describe, SliceOutsideTheShapeThenRefused) {
  EXPECT_EQ(refusal(Slice{{4, 3}, {0, 2}, {4, 2}}),
            "tensor \"w\": the slice at [0, 2] of extent [4, 2] leaves the global shape [4, 3] in "
            "dimension 1");
  EXPECT_EQ(refusal(Slice{{4, 3}, {5, 0}, {0, 3}}),
            "tensor \"w\": the slice at [5, 0] of extent [0, 3] leaves the global shape [4, 3] in "
            "dimension 0");
}

TEST(Describe, OffsetAndExtentWrapAroundThenRefused) {
  EXPECT_EQ(refusal(Slice{{4}, {3}, {std::numeric_limits<std::uint64_t>::max()}}),
            "tensor \"w\": the slice at [3] of extent [18446744073709551615] leaves the global "
            "shape [4] in dimension 0");
}

TEST(Describe, MoreBytesThanASigned64BitNumberHoldsThenRefused) {
  constexpr std::uint64_t n = std::uint64_t{1} << 30;
  EXPECT_EQ(refusal(Slice{{n, n}, {0, 0}, {1, 1}}), "");
  EXPECT_EQ(refusal(Slice{{n, n, 2}, {0, 0, 0}, {1, 1, 1}}),
            "tensor \"w\": shape [1073741824, 1073741824, 2] is too large");
}

TEST(Describe, MoreElementsThan63BitsThenRefusedByTheSameWords) {
  constexpr std::uint64_t n = std::uint64_t{1} << 32;
  EXPECT_EQ(refusal(Slice{{n, n}, {0, 0}, {1, 1}}),
            "tensor \"w\": shape [4294967296, 4294967296] is too large");
}

TEST(Describe, SpanOfAnotherSizeThanTheSliceThenRefused) {
  std::vector<float> values(5);
  EXPECT_EQ(refusal(State().add("w", std::span(values), Slice{{4, 3}, {0, 0}, {2, 3}})),
            "tensor \"w\": the memory given has 20 bytes, the slice of extent [2, 3] and type "
            "float32 has 24");
}

TEST(Describe, StridesOfAnotherRankThenRefused) {
  std::array<float, 6> values{};
  State state;
  state.add("w", whole({2, 3}), Source::memory(DType::float32, values.data(), {4}));
  EXPECT_EQ(refusal(state), "tensor \"w\": 1 byte strides given for a slice of 2 dimensions");
}

TEST(Describe, NoMemoryThenRefused) {
  State state;
  state.add("w", whole({2, 3}), Source::memory(DType::float32, static_cast<void*>(nullptr)));
  EXPECT_EQ(refusal(state), "tensor \"w\": no memory given for a slice of 24 bytes");
}

TEST(Describe, NoReadCallbackThenRefused) {
  State state;
  state.add("w", whole({2}), Source::callbacks(DType::float64, {}));
  EXPECT_EQ(refusal(state), "tensor \"w\": no memory given for a slice of 16 bytes");
}

TEST(Describe, SecondEntryWrongThenItIsTheOneNamed) {
  double value = 0;
  std::vector<float> values(3);
  State state;
  state.add("good", value).add("bad", std::span(values), whole({4}));
  EXPECT_EQ(refusal(state).substr(0, 13), "tensor \"bad\":");
}

TEST(ClaimOnTheWire, PutThenGotBack) {
  const std::vector<Claim> claims{
      {{"w", DType::bfloat16, {4, 3}}, {{2, 0}, {2, 3}}},
      {{"größe\0/x"s, DType::complex128, {}}, {}},
      {{std::string(kLongestName, 'n'), DType::boolean, {7}}, {{7}, {0}}}};
  WireWriter writer;
  for (const Claim& claim : claims) put_claim(writer, claim);
  const Bytes message = writer.take();
  WireReader reader(message);
  for (const Claim& claim : claims) {
    const Claim got = get_claim(reader);
    EXPECT_EQ(got.tensor, claim.tensor);
    EXPECT_EQ(got.box, claim.box);
  }
  EXPECT_TRUE(reader.done());
}

TEST(TensorOnTheWire, PutThenGotBack) {
  const TensorInfo tensor{"w", DType::float8_e5m2, {1, 2, 3}};
  WireWriter writer;
  put_tensor(writer, tensor);
  const Bytes message = writer.take();
  WireReader reader(message);
  EXPECT_EQ(get_tensor(reader), tensor);
  EXPECT_TRUE(reader.done());
}

TEST(HomeOf, NamesThenAsComputedWithAnotherProgram) {
  // 64-bit FNV-1a, its halves folded, modulo the ranks.
  EXPECT_EQ(home_of("", 7), 6);
  EXPECT_EQ(home_of("a", 1000), 824);
  EXPECT_EQ(home_of("w", 7), 5);
  EXPECT_EQ(home_of("layer.0/weight", 1000), 495);
  EXPECT_EQ(home_of("layer.0/weight", 1), 0);
}

TEST(HomeOf, ManyNamesThenNoRankHasFarMoreThanItsPart) {
  for (const int ranks : {2, 3, 4, 8, 64}) {
    std::vector<int> names(static_cast<std::size_t>(ranks), 0);
    for (int i = 0; i < 100 * ranks; ++i) {
      const std::string name = "model.layers." + std::to_string(i) + ".weight";
      ++names.at(static_cast<std::size_t>(home_of(name, ranks)));
    }
    EXPECT_LT(*std::ranges::max_element(names), 200) << ranks << " ranks";
  }
}

}  // namespace
}  // namespace cairn::plan
