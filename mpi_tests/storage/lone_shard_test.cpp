// What a file says that one rank wrote alone: its pieces by their names, and its mark.
#include "storage/lone_shard.hpp"

#include <string>
#include <utility>
#include <vector>

#include "storage/expect_error.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;

constexpr std::string_view kStructure = "structure:00000000000000ff0123456789abcdef";

PlacedTensor dataset(std::string name, Shape shape) {
  PlacedTensor dataset;
  dataset.name = std::move(name);
  dataset.shape = std::move(shape);
  dataset.offset = 65'536;
  return dataset;
}

void expect_no_piece(const std::string& name, const Shape& shape) {
  SCOPED_TRACE(name);
  expect_error(ErrorCode::damaged, {"run.shard", "is no piece of a tensor"},
               [&] { lone_piece(dataset(name, shape), "run.shard"); });
}

Record lone_record(std::string words) {
  Record record;
  record.required_features = kLoneShardFeature;
  record.optional_features = std::move(words);
  return record;
}

std::string with(std::string_view rank, std::string_view structure = kStructure,
                 std::string_view updates = "updates:marked") {
  return std::string(rank).append(" ").append(structure).append(" ").append(updates);
}

void expect_no_mark(const std::string& words) {
  SCOPED_TRACE(words);
  expect_error(ErrorCode::damaged, {"run.shard", "does not say of which rank"},
               [&] { mark_of(lone_record(words), "run.shard"); });
}

TEST(LonePiece, NamedForABoxThenThatBoxOfTheTensor) {
  const LonePiece piece = lone_piece(dataset("a[b].w[0:512/4096,3:4/4]", {512, 1}), "run.shard");
  EXPECT_EQ(piece.tensor.name, "a[b].w");
  EXPECT_EQ(piece.tensor.shape, (Shape{4096, 4}));
  EXPECT_EQ(piece.box, (Box{{0, 3}, {512, 1}}));
  EXPECT_EQ(piece.offset, 65'536u);
}

TEST(LonePiece, ScalarsEmptyBoxesAndEmptyTensorsThenTaken) {
  EXPECT_EQ(lone_piece(dataset("step[]", {}), "f").box, Box{});
  EXPECT_EQ(lone_piece(dataset("[]", {}), "f").tensor.name, "") << "any text names a tensor";
  EXPECT_EQ(lone_piece(dataset("w[4:4/4]", {0}), "f").box, (Box{{4}, {0}}));
  EXPECT_EQ(lone_piece(dataset("w[0:0/0,0:1/1]", {0, 1}), "f").tensor.shape, (Shape{0, 1}));
}

TEST(LonePiece, BracketsMissingOrMisplacedThenRefused) {
  for (const char* name : {"w", "w[0:2/4", "w0:2/4]", "w]0:2/4[", "w[0:2/4]x", "w[[0:2/4]]", "]", "[",
                           ""}) {
    expect_no_piece(name, {2});
  }
}

TEST(LonePiece, NumbersThatAreNoneThenRefused) {
  for (const char* inside :
       {"", ":", "0:2", "0/4", ":2/4", "0:/4", "0:2/", "a:2/4", "-0:2/4", "+0:2/4", " 0:2/4",
        "0:2/4 ", "0x0:2/4", "0:2/4,", ",0:2/4", "0:2/4,,0:2/4", "0:2/4;", "0:2/4/4"}) {
    expect_no_piece("w[" + std::string(inside) + "]", {2});
  }
}

TEST(LonePiece, NumbersBeyond64BitsThenRefused) {
  const std::string beyond = "18446744073709551616";
  for (const std::string& inside : {"0:2/" + beyond, "0:" + beyond + "/4", beyond + ":2/4",
                                    "0:" + beyond + "/" + beyond}) {
    expect_no_piece("w[" + inside + "]", {2});
  }
}

TEST(LonePiece, LeadingZerosThenRefusedAsOneBoxHasOneName) {
  for (const char* inside : {"00:2/4", "0:02/4", "0:2/007", "0:2/04"}) {
    expect_no_piece("w[" + std::string(inside) + "]", {2});
  }
}

TEST(LonePiece, BoxesThatDoNotLieInTheTensorThenRefused) {
  expect_no_piece("w[3:1/4]", {2});
  expect_no_piece("w[3:5/4]", {2});
  expect_no_piece("w[1:0/18446744073709551615]", {~std::uint64_t{0}});
}

TEST(LonePiece, OfAnotherShapeThanItsBoxThenRefused) {
  expect_no_piece("w[0:2/4]", {3});
  expect_no_piece("w[0:2/4]", {2, 1});
  expect_no_piece("w[0:2/4]", {});
  expect_no_piece("w[]", {1});
}

TEST(LonePiece, TensorsOfMoreBytesThanAnyFileThenRefused) {
  const std::string most = "18446744073709551615";
  for (const std::string& inside :
       {"0:1/" + most, std::string("0:1/4294967296,0:1/4294967296"), "0:1/" + most + ",0:1/" + most}) {
    const Shape shape(inside.find(',') == std::string::npos ? 1 : 2, 1);
    expect_error(ErrorCode::damaged, {"run.shard", "w[", "has the impossible shape"},
                 [&] { lone_piece(dataset("w[" + inside + "]", shape), "run.shard"); });
  }
  const LonePiece empty = lone_piece(dataset("w[0:1/" + most + ",0:0/0]", {1, 0}), "f");
  EXPECT_EQ(empty.tensor.shape.back(), 0u) << "which has no bytes at all";
}

TEST(LonePiece, TextInPiecesThenRefused) {
  PlacedTensor text = dataset("note[0:5/5]", {5});
  text.dtype = DType::uint8;
  text.family = Family::append_info;
  text.is_text = true;
  EXPECT_TRUE(lone_piece(text, "f").tensor.is_text);
  text.name = "note[0:5/10000000000]";
  expect_error(ErrorCode::damaged, {"is no piece"}, [&] { lone_piece(text, "f"); });
}

TEST(LoneMark, PutThenReadBack) {
  for (const bool marked : {false, true}) {
    const LoneMark mark{7, ~std::uint64_t{0}, {~std::uint64_t{0}, 1}, marked};
    Record record;
    put_mark(mark, record);
    EXPECT_EQ(mark_of(record, "f"), mark);
  }
}

TEST(LoneMark, WordsInAnyOrderAmongUnknownOnesThenRead) {
  const auto mark =
      mark_of(lone_record("ranks:9 updates:unmarked crc32 " + std::string(kStructure) + " rank:2/4 x"),
              "f");
  EXPECT_EQ(mark, (LoneMark{2, 4, {0xff, 0x0123456789abcdef}, false}));
}

TEST(LoneMark, OfAWholeCheckpointThenThereIsNone) {
  Record record = lone_record(with("rank:0/1"));
  for (const char* features : {"", "map_parameter", "lone_shard map_parameter"}) {
    record.required_features = features;
    EXPECT_EQ(mark_of(record, "f"), std::nullopt);
  }
}

TEST(LoneMark, WithoutAWordThenRefused) {
  for (const std::string& words : {std::string(), std::string("rank:2/4"), std::string(kStructure),
                                   "rank:2/4 " + std::string(kStructure), with("", kStructure),
                                   with("rank:2/4", "")}) {
    expect_no_mark(words);
  }
}

TEST(LoneMark, RanksThatAreNoneThenRefused) {
  for (const char* rank :
       {"rank:", "rank:/", "rank:2", "rank:2/", "rank:/4", "rank:4/4", "rank:0/0", "rank:5/4",
        "rank:-1/4", "rank:2/4x", "rank:2/4/4", "rank:x/4", "rank:02/4", "rank:2/04", "rank:2/007",
        "rank:18446744073709551616/18446744073709551617", "rank:2/18446744073709551616"}) {
    expect_no_mark(with(rank));
  }
}

TEST(LoneMark, StructuresThatAreNoneThenRefused) {
  for (const char* structure :
       {"structure:", "structure:0123456789abcdef0123456789abcde",
        "structure:0123456789abcdef0123456789abcdef0", "structure:zzzzzzzzzzzzzzzz0123456789abcdef",
        "structure:0123456789abcdefzzzzzzzzzzzzzzzz", "structure:0123456789ABCDEF0123456789abcdef",
        "structure:0x23456789abcdef0123456789abcdef"}) {
    expect_no_mark(with("rank:2/4", structure));
  }
}

TEST(LoneMark, UpdatesThatAreNeitherThenRefused) {
  for (const char* updates : {"updates:", "updates:marke", "updates:Marked", "updates:marked!"}) {
    expect_no_mark(with("rank:2/4", kStructure, updates));
  }
}

TEST(LoneMark, AWordTwiceThenRefused) {
  for (const std::string& more :
       {std::string("rank:3/4"), std::string("rank:2/4"), std::string(kStructure),
        std::string("structure:x"), std::string("updates:unmarked"), std::string("updates:marked")}) {
    expect_no_mark(with("rank:2/4") + " " + more);
    expect_no_mark(more + " " + with("rank:2/4"));
  }
}

}  // namespace
}  // namespace cairn::storage
