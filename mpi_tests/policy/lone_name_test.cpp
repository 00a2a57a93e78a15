// The names of what one rank wrote alone.
#include <gtest/gtest.h>

#include <string>

#include "policy/names.hpp"

namespace cairn::policy {
namespace {

const LoneName kName{.series = "CKP", .epoch = 3, .step_in_epoch = 7, .rank = 2, .ranks = 4};

void expect_none(const std::string& name) {
  EXPECT_EQ(parse_lone_name(name), std::nullopt) << name;
}

/// A name with another "<rank>of<ranks>".
std::string placed(const std::string& place) { return "CKP-3_7_breakpoint.rank" + place + ".shard"; }

TEST(LoneName, FormattedThenAsTheContractSaysAndParsedBack) {
  LoneName name = kName;
  EXPECT_EQ(format(name), "CKP-3_7_breakpoint.rank2of4.shard");
  EXPECT_EQ(parse_lone_name(format(name)), name);
  name.sealed = true;
  EXPECT_EQ(format(name), "CKP-3_7_breakpoint.rank2of4.shard.enc");
  EXPECT_EQ(parse_lone_name(format(name)), name);
  name.rank.reset();
  EXPECT_EQ(format(name), "CKP-3_7_breakpoint.rank*of4.shard.enc");
  EXPECT_EQ(parse_lone_name(format(name)), name);
}

TEST(LoneName, SeriesThatLooksLikeAPlaceThenParsedBack) {
  for (const char* series : {"a.rank1of2.shard", "a-1_2_breakpoint.rank0of1", "a.rank", "rank1of2"}) {
    LoneName name = kName;
    name.series = series;
    EXPECT_EQ(parse_lone_name(format(name)), name) << series;
  }
}

TEST(LoneName, LargestNumbersThenParsedBack) {
  LoneName name = kName;
  name.ranks = ~std::uint64_t{0};
  name.rank = name.ranks - 1;
  EXPECT_EQ(parse_lone_name(format(name)), name);
}

TEST(LoneName, RanksThatCannotBeThenNotParsed) {
  for (const char* place : {"0of0", "4of4", "5of4", "*of0", "0of18446744073709551616",
                            "18446744073709551616of18446744073709551617", "*of99999999999999999999"}) {
    expect_none(placed(place));
  }
}

TEST(LoneName, NumbersInAnotherFormThenNotParsed) {
  for (const char* place : {"", "of", "2", "2of", "of4", "02of4", "2of04", "2of007", "00of4", "-0of4",
                            "+2of4", "2 of4", "2of 4", "2of4 ", "2of4of4", "0x2of4", "2.0of4", "**of4",
                            "*2of4", "2*of4", "*of*", "2Of4"}) {
    expect_none(placed(place));
  }
}

TEST(LoneName, WithoutOneOfItsPartsThenNotParsed) {
  for (const char* name :
       {"", ".shard", ".rank2of4.shard", "CKP-3_7.rank2of4.shard", "CKP_breakpoint.rank2of4.shard",
        "-3_7_breakpoint.rank2of4.shard", "CKP-3_7_breakpoint2of4.shard",
        "CKP-3_7_breakpoint.rank2of4", "CKP-3_7_breakpoint.rank2of4.enc",
        "CKP-3_7_breakpoint.rank2of4.enc.shard", "CKP-3_7_breakpoint.h5.rank2of4.shard",
        "CKP-03_7_breakpoint.rank2of4.shard", ".CKP-3_7_breakpoint.rank2of4.shard",
        "a/CKP-3_7_breakpoint.rank2of4.shard"}) {
    expect_none(name);
  }
}

TEST(LoneName, MoreBehindItThenNotParsed) {
  for (const char* more : {"x", ".enc.enc", ".enc.x", ".replaced", " ", ".shard"}) {
    expect_none(format(kName) + more);
  }
  expect_none(format(kName) + std::string(1, '\0'));
}

}  // namespace
}  // namespace cairn::policy
