#include "base/append_entries.hpp"

#include <gtest/gtest.h>

#include "base/slice_access.hpp"
#include "cairn/error.hpp"

namespace cairn {
namespace {

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TensorInfo text_of(std::uint64_t bytes) {
  return {"note", DType::uint8, {bytes}, Family::append_info, true};
}

TensorInfo scalar_of(DType dtype) { return {"x", dtype, {}, Family::append_info}; }

std::string refusal(const TensorInfo& stored, std::string_view bytes) {
  try {
    (void)decode_plain(stored, bytes_of(bytes));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::damaged);
    return error.what();
  }
  return "";
}

/// All bytes of an entry, as a save reads them.
std::string bytes_in(const State::Entry& entry) {
  std::string bytes(element_count(entry.slice.extent) * size_of(entry.source.dtype()), '?');
  SliceAccess(entry).read(0, bytes.size(), reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

TEST(AppendEntries, PlainOnesOutliveTheDictionary) {
  State state;
  std::int32_t step = 3;
  state.add("lr", step);
  {
    const AppendDict dict{{"lr", 0.5}, {"note", "abc"}, {"nothing", ""}, {"on", true}};
    state = with_append_info(state, dict);
  }
  ASSERT_EQ(state.entries().size(), 5U);
  EXPECT_EQ(state.entries()[0].family, Family::parameter);
  const State::Entry& lr = state.entries()[1];
  EXPECT_EQ(lr.family, Family::append_info);
  EXPECT_EQ(lr.source.dtype(), DType::float64);
  EXPECT_EQ(bytes_in(lr), std::string("\0\0\0\0\0\0\xE0\x3F", 8));
  const State::Entry& note = state.entries()[2];
  EXPECT_TRUE(note.is_text);
  EXPECT_EQ(note.slice, whole({3}));
  EXPECT_EQ(bytes_in(note), "abc");
  EXPECT_EQ(bytes_in(state.entries()[3]), std::string(1, '\0'));
  EXPECT_EQ(bytes_in(state.entries()[4]), "\1");
}

TEST(AppendEntries, OfThoseToFillThereAreTheTensorsThatCanBe) {
  double lr = 0;
  const std::vector<float> fixed(2);
  State state;
  add_entries_to_fill(state, {{"lr", AppendTensor(lr)},
                              {"fixed", AppendTensor(std::span(fixed), whole({2}))},
                              {"seed", 1}});
  ASSERT_EQ(state.entries().size(), 1U);
  EXPECT_EQ(state.entries()[0].name, "lr");
}

TEST(AppendEntries, ScalarsAndTextsArePlain) {
  EXPECT_TRUE(is_plain(text_of(7)));
  EXPECT_TRUE(is_plain(scalar_of(DType::int64)));
  EXPECT_TRUE(is_plain(scalar_of(DType::float64)));
  EXPECT_TRUE(is_plain(scalar_of(DType::boolean)));
  EXPECT_FALSE(is_plain(scalar_of(DType::int32)));
  EXPECT_FALSE(is_plain({"x", DType::int64, {1}, Family::append_info}));
}

TEST(AppendEntries, BytesBecomeValues) {
  EXPECT_EQ(decode_plain(scalar_of(DType::int64), bytes_of("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF")),
            AppendedValue(std::int64_t{-2}));
  EXPECT_EQ(decode_plain(scalar_of(DType::boolean), bytes_of("\1")), AppendedValue(true));
  EXPECT_EQ(decode_plain(scalar_of(DType::boolean), bytes_of(std::string_view("\0", 1))),
            AppendedValue(false));
  EXPECT_EQ(decode_plain(text_of(3), bytes_of("abc")), AppendedValue("abc"));
  EXPECT_EQ(decode_plain(text_of(1), bytes_of(std::string_view("\0", 1))), AppendedValue(""));
}

TEST(AppendEntries, BytesThatNoValueHasAreDamage) {
  EXPECT_EQ(refusal(scalar_of(DType::boolean), "\2"),
            "append_info \"x\" is neither true nor false");
  for (const std::string_view text : {std::string_view("ab\0", 3), std::string_view("\0\0", 2)}) {
    EXPECT_EQ(refusal(text_of(text.size()), text),
              "append_info \"note\" is a text with a zero byte in it");
  }
}

}  // namespace
}  // namespace cairn
