#include "cairn/append_info.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "cairn/config.hpp"
#include "cairn/error.hpp"

namespace cairn {
namespace {

/// The message of the error that making a config throws; "" where it throws none.
std::string refusal(std::vector<AppendItem> items) {
  try {
    const CheckpointConfig config({.append_info = std::move(items)});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "";
}

template <class Call>
std::string refusal_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "";
}

std::int64_t integer_in(const AppendDict& dict, const char* key) {
  return std::get<std::int64_t>(dict.entries().at(key).value());
}

TEST(AppendInfo, NothingGivenThenNothingIsAppended) {
  EXPECT_TRUE(CheckpointConfig(CheckpointSettings{}).append_dict().empty());
}

TEST(AppendInfo, TextsThenCountersFromZero) {
  const CheckpointConfig config({.append_info = {"epoch_num", "step_num"}});
  EXPECT_EQ(config.append_dict().entries().size(), 2U);
  EXPECT_EQ(integer_in(config.append_dict(), "epoch_num"), 0);
  EXPECT_EQ(integer_in(config.append_dict(), "step_num"), 0);
}

TEST(AppendInfo, DictionaryThenItsEntriesAndBases) {
  const CheckpointConfig config({.append_info = {AppendDict{{"epoch_num", 5}, {"lr", 0.1}}}});
  EXPECT_EQ(integer_in(config.append_dict(), "epoch_num"), 5);
  EXPECT_EQ(std::get<double>(config.append_dict().entries().at("lr").value()), 0.1);
}

TEST(AppendInfo, CounterAsTextAndInTheDictionaryThenTheDictionarysBaseHolds) {
  const CheckpointConfig config({.append_info = {"step_num", AppendDict{{"step_num", -3}}}});
  EXPECT_EQ(config.append_dict().entries().size(), 1U);
  EXPECT_EQ(integer_in(config.append_dict(), "step_num"), -3);
}

TEST(AppendInfo, ResolvedIsResolvedAgainToTheSame) {
  const CheckpointConfig config({.append_info = {"step_num", AppendDict{{"epoch_num", 2}}}});
  const CheckpointConfig again(config.settings());
  EXPECT_EQ(integer_in(again.append_dict(), "step_num"), 0);
  EXPECT_EQ(integer_in(again.append_dict(), "epoch_num"), 2);
}

TEST(AppendInfo, UnknownTextIsRefused) {
  EXPECT_EQ(refusal({"epoch"}),
            R"(append_info: the item "epoch" is none of "epoch_num", "step_num" and a dictionary)");
}

TEST(AppendInfo, SecondDictionaryIsRefused) {
  EXPECT_EQ(refusal({AppendDict{{"a", 1}}, AppendDict{{"b", 1}}}),
            "append_info: a second dictionary is given, at most one is taken");
  EXPECT_EQ(refusal({AppendDict(), AppendDict()}),
            "append_info: a second dictionary is given, at most one is taken");
}

TEST(AppendInfo, CounterGivenTwiceIsRefused) {
  EXPECT_EQ(refusal({"step_num", "step_num"}),
            R"(append_info: the item "step_num" is given twice)");
}

TEST(AppendInfo, KeyGivenTwiceIsRefused) {
  EXPECT_EQ(refusal_of([] { AppendDict({{"lr", 1}, {"lr", 2}}); }),
            R"(append_info: the key "lr" is given twice)");
  AppendDict dict{{"lr", 1}};
  EXPECT_EQ(refusal_of([&] { dict.add("lr", 2); }), R"(append_info: the key "lr" is given twice)");
  EXPECT_EQ(integer_in(dict, "lr"), 1);
}

TEST(AppendInfo, BaseThatIsNoIntegerIsRefused) {
  double number = 1;
  const std::vector<std::pair<AppendValue, std::string>> bases{
      {0.5, "a float"}, {true, "a bool"}, {"7", "a text"}, {AppendTensor(number), "a tensor"}};
  for (const auto& [base, what] : bases) {
    EXPECT_EQ(refusal({AppendDict{{"epoch_num", base}}}),
              "append_info: \"epoch_num\" is " + what +
                  ", an integer is taken: what is added to the counter");
  }
}

TEST(AppendInfo, KeyThatIsEmptyOrTooLongIsRefused) {
  EXPECT_EQ(refusal({AppendDict{{"", 1}}}), "append_info: a key must not be empty");
  EXPECT_EQ(refusal({AppendDict{{std::string(16384, 'k'), 1}}}), "");
  EXPECT_EQ(refusal({AppendDict{{std::string(16385, 'k'), 1}}}),
            "append_info: the key \"" + std::string(100, 'k') +
                "\" has 16385 bytes, at most 16384 are taken");
}

TEST(AppendInfo, TextThatIsTooLongOrHasAZeroByteIsRefused) {
  EXPECT_EQ(refusal({AppendDict{{"note", std::string(65536, 'x')}}}), "");
  EXPECT_EQ(refusal({AppendDict{{"note", std::string(65537, 'x')}}}),
            "append_info: \"note\" is a text of 65537 bytes, at most 65536 are taken");
  EXPECT_EQ(refusal({AppendDict{{"note", std::string("ab\0c", 4)}}}),
            "append_info: \"note\" is a text with a zero byte at 2, texts without are taken");
}

TEST(AppendInfo, IntegerThatDoesNotFitIsRefused) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(std::get<std::int64_t>(AppendValue(most).value()), INT64_MAX);
  EXPECT_EQ(refusal_of([] { (void)AppendValue(most + 1); }),
            "append_info: 9223372036854775808 is given, integers are taken up to "
            "9223372036854775807");
}

TEST(AppendInfo, NullTextIsRefused) {
  const char* const text = nullptr;
  EXPECT_EQ(refusal_of([&] { (void)AppendValue(text); }),
            "append_info: a null pointer is given for a text");
}

TEST(AppendInfo, ValuesKeepTheirTypes) {
  const auto kind = [](const AppendValue& value) { return value.value().index(); };
  const auto integer = AppendValue::Value(std::int64_t{}).index();
  const auto text = AppendValue::Value(std::string()).index();
  EXPECT_EQ(kind(std::int8_t{-1}), integer);
  EXPECT_EQ(kind(std::uint32_t{1}), integer);
  EXPECT_EQ(kind(1.5F), AppendValue::Value(1.5).index());
  EXPECT_EQ(kind(true), AppendValue::Value(true).index());
  const char* const pointer = "x";
  EXPECT_EQ(kind(pointer), text);
  EXPECT_EQ(kind("x"), text);
  EXPECT_EQ(kind(std::string_view("x")), text);
}

// What is none of the types does not become one of them unasked.
enum Colour { red };
static_assert(!std::is_constructible_v<AppendValue, char>);
static_assert(!std::is_constructible_v<AppendValue, char8_t>);
static_assert(!std::is_constructible_v<AppendValue, const int*>);
static_assert(!std::is_constructible_v<AppendValue, std::nullptr_t>);
static_assert(!std::is_constructible_v<AppendValue, long double>);
static_assert(!std::is_constructible_v<AppendValue, Colour>);
static_assert(!std::is_constructible_v<AppendTensor, double>);
static_assert(!std::is_convertible_v<double&, AppendTensor>);

}  // namespace
}  // namespace cairn
