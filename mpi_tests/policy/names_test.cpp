#include "policy/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cairn/error.hpp"

namespace cairn::policy {
namespace {

using namespace std::string_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

/// The message of the error that `action` throws; "" where it throws none.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "";
}

std::string prefix_refusal(const std::string& prefix) {
  return refusal([&] { check_prefix(prefix); });
}

bool takes_prefix(const std::string& prefix) {
  return prefix_refusal(prefix).empty();
}

TEST(Prefix, OrdinaryThenTaken) {
  for (const char* prefix : {"CKP", "run", "a-b", "a.b", "my run", "größe", "run_", "_", "7", "v2",
                             "run_2b", "run-2", "run_1_", "x-1_2.h5"}) {
    EXPECT_TRUE(takes_prefix(prefix)) << prefix;
  }
}

TEST(Prefix, EmptyThenRefused) {
  EXPECT_EQ(prefix_refusal(""),
            "prefix is \"\"; it takes 1 to 64 bytes without '/' and NUL that do not begin with '.' "
            "and do not end in '_' and digits");
}

TEST(Prefix, SlashThenRefused) {
  EXPECT_THAT(prefix_refusal("a/b"), HasSubstr("prefix is \"a/b\";"));
  EXPECT_FALSE(takes_prefix("/"));
}

TEST(Prefix, NulThenRefusedAndTheMessageIsNotCutThere) {
  EXPECT_THAT(prefix_refusal("a\0b"s),
              AllOf(HasSubstr(R"(prefix is "a\0b";)"), HasSubstr("takes")));
}

TEST(Prefix, UnderscoreAndDigitsAtTheEndThenRefused) {
  EXPECT_THAT(prefix_refusal("run_1"), HasSubstr("prefix is \"run_1\";"));
  EXPECT_FALSE(takes_prefix("run_007"));
  EXPECT_FALSE(takes_prefix("_0"));
  EXPECT_FALSE(takes_prefix("a_b_12345678901234567890"));
}

TEST(Prefix, DotAtTheBeginningThenRefused) {
  EXPECT_FALSE(takes_prefix(".tmp-run"));
  EXPECT_FALSE(takes_prefix("."));
  EXPECT_FALSE(takes_prefix(".."));
}

TEST(Prefix, TooLongThenRefused) {
  EXPECT_TRUE(takes_prefix(std::string(kMaxPrefixBytes, 'p')));
  EXPECT_FALSE(takes_prefix(std::string(kMaxPrefixBytes + 1, 'p')));
  EXPECT_THAT(prefix_refusal(std::string(100'000, 'p')), HasSubstr("prefix is 100000 bytes long;"));
}

TEST(Prefix, LongestThenEveryDerivedNameFitsIntoADirectory) {
  const std::string series = series_name(std::string(kMaxPrefixBytes, 'p'), kMaxSeriesNumber);
  // Of all steps and epochs the ones with the most digits.
  for (const std::uint64_t steps_per_epoch : {0ULL, 1ULL, 999'999'999ULL, 10'000'000'000ULL}) {
    const EpochStep at = epoch_step(kMost, steps_per_epoch);
    const CheckpointName name{series, at.epoch, at.step_in_epoch, true, Kind::sealed, true};
    const TemporaryName trash{.trash = true,
                              .run = "0123456789abcdef",
                              .host = std::string(64, 'h'),
                              .pid = std::numeric_limits<std::uint32_t>::max(),
                              .job = std::string(64, 'j'),
                              .final_name = format(name)};
    EXPECT_LE(format(trash).size(), kMaxFileNameBytes);
  }
  EXPECT_LE(lock_name(series).size(), kMaxFileNameBytes);
}

TEST(EpochStep, WithoutStepsPerEpochThenEpochOneAndTheGlobalStep) {
  EXPECT_EQ(epoch_step(1, 0), (EpochStep{1, 1}));
  EXPECT_EQ(epoch_step(12345, 0), (EpochStep{1, 12345}));
}

TEST(EpochStep, WithStepsPerEpochThenBothAreCountedFromOne) {
  EXPECT_EQ(epoch_step(1, 10), (EpochStep{1, 1}));
  EXPECT_EQ(epoch_step(10, 10), (EpochStep{1, 10}));
  EXPECT_EQ(epoch_step(11, 10), (EpochStep{2, 1}));
  EXPECT_EQ(epoch_step(30, 10), (EpochStep{3, 10}));
  EXPECT_EQ(epoch_step(4, 1), (EpochStep{4, 1}));
}

TEST(EpochStep, BeforeAnyTrainingThenStepZeroOfEpochOne) {
  EXPECT_EQ(epoch_step(0, 0), (EpochStep{1, 0}));
  EXPECT_EQ(epoch_step(0, 10), (EpochStep{1, 0}));
}

TEST(EpochStep, LargestNumbersThenNoOverflow) {
  EXPECT_EQ(epoch_step(kMost, 1), (EpochStep{kMost, 1}));
  EXPECT_EQ(epoch_step(kMost, kMost), (EpochStep{1, kMost}));
  EXPECT_EQ(epoch_step(kMost, 0), (EpochStep{1, kMost}));
}

TEST(CheckpointName, FormattedThenAsTheContractSays) {
  EXPECT_EQ(format(CheckpointName{"CKP", 1, 100}), "CKP-1_100.h5");
  EXPECT_EQ(format(CheckpointName{"CKP_2", 3, 7, false, Kind::sealed}), "CKP_2-3_7.h5.enc");
  EXPECT_EQ(format(CheckpointName{"CKP", 3, 7, false, Kind::shards}), "CKP-3_7.shards");
  EXPECT_EQ(format(CheckpointName{"CKP", 3, 7, true}), "CKP-3_7_breakpoint.h5");
  EXPECT_EQ(format(CheckpointName{"CKP", 3, 7, true, Kind::sealed, true}),
            "CKP-3_7_breakpoint.h5.enc.replaced");
}

TEST(CheckpointName, KindsOfOneStepThenOneStem) {
  EXPECT_EQ(stem({"CKP", 3, 7}), "CKP-3_7");
  EXPECT_EQ(stem({"CKP", 3, 7, false, Kind::shards, true}), "CKP-3_7");
  EXPECT_EQ(stem({"CKP", 3, 7, true, Kind::sealed}), "CKP-3_7_breakpoint");
}

TEST(CheckpointName, FormattedThenParsedBackWhateverTheSeriesLooksLike) {
  for (const char* series : {"CKP", "CKP_1", "a-b", "a-1_2", "a-1_2.h5", "a-1_2_breakpoint", "x.",
                             "-", "_", "7", " ", "a.replaced", "größe", "a\nb"}) {
    for (const std::uint64_t number :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{10}, kMost}) {
      for (const Kind kind : {Kind::file, Kind::sealed, Kind::shards}) {
        for (const bool breakpoint : {false, true}) {
          for (const bool replaced : {false, true}) {
            const CheckpointName name{series, number, kMost - number, breakpoint, kind, replaced};
            EXPECT_EQ(parse_checkpoint_name(format(name)), name) << format(name);
          }
        }
      }
    }
  }
}

TEST(CheckpointName, NotOneOfOursThenNotParsed) {
  for (const char* name : {"",
                           "CKP",
                           ".h5",
                           "CKP.h5",
                           "CKP-1.h5",
                           "CKP-1_.h5",
                           "CKP-_1.h5",
                           "CKP_1.h5",
                           "-1_2.h5",
                           "1_2.h5",
                           "CKP-1_2",
                           "CKP-1_2.",
                           "CKP-1_2.H5",
                           "CKP-1_2.hdf5",
                           "CKP-1_2.enc",
                           "CKP-1_2.h5.h5",
                           "CKP-1_2.h5.enc.enc",
                           "CKP-1_2.h5.bak",
                           "CKP-1_2.h5 ",
                           "CKP-1_2 .h5",
                           "CKP-1_2.h5.replaced.replaced",
                           "CKP-1_2.replaced",
                           "CKP-1_2.replaced.h5",
                           "CKP-1_2_breakpoint",
                           "CKP-1_2_breakpoint_breakpoint.h5",
                           "CKP-1_2_Breakpoint.h5",
                           "CKP-1_breakpoint.h5",
                           "CKP-1_2_breakpoint.rank0of2.shard",
                           "CKP-1_2_3.h5"}) {
    EXPECT_EQ(parse_checkpoint_name(name), std::nullopt) << name;
  }
}

TEST(CheckpointName, LeadingZerosThenNotParsed) {
  EXPECT_TRUE(parse_checkpoint_name("CKP-0_0.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-01_2.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-1_02.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-00_0.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-0_00.h5"));
}

TEST(CheckpointName, SignsAndOtherNumberFormsThenNotParsed) {
  for (const char* name : {"CKP-+1_2.h5", "CKP-1_+2.h5", "CKP-1_-2.h5", "CKP-1_ 2.h5",
                           "CKP-1_2e3.h5", "CKP-1_0x2.h5", "CKP-a_2.h5", "CKP-1_2a.h5"}) {
    EXPECT_EQ(parse_checkpoint_name(name), std::nullopt) << name;
  }
  // The sign belongs to the series here, and does so when it is formatted.
  EXPECT_EQ(parse_checkpoint_name("CKP--1_2.h5")->series, "CKP-");
}

TEST(CheckpointName, OverflowThenNotParsed) {
  EXPECT_TRUE(parse_checkpoint_name("CKP-1_18446744073709551615.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-1_18446744073709551616.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-18446744073709551616_1.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP-1_100000000000000000000000000000.h5"));
}

TEST(CheckpointName, DotAtTheBeginningSlashOrNulThenNotParsed) {
  EXPECT_FALSE(parse_checkpoint_name(".CKP-1_2.h5"));
  EXPECT_FALSE(parse_checkpoint_name(".tmp-0123456789abcdef-node1-77-0-CKP-1_2.h5"));
  EXPECT_FALSE(parse_checkpoint_name("dir/CKP-1_2.h5"));
  EXPECT_FALSE(parse_checkpoint_name("CKP\0-1_2.h5"s));
  EXPECT_FALSE(parse_checkpoint_name("CKP-1_2.h5\0"s));
}

/// `name` with up to three characters dropped, doubled or replaced by others that names are made
/// of: many of these are names again.
std::string slightly_changed(std::string name, std::mt19937& random) {
  constexpr std::string_view others = "-_.0193afhnz";
  for (auto changes = random() % 4; changes > 0 && !name.empty(); --changes) {
    const std::size_t at = random() % name.size();
    switch (random() % 3) {
      case 0:
        name.erase(at, 1);
        break;
      case 1:
        name.insert(at, 1, name[at]);
        break;
      default:
        name[at] = others[random() % others.size()];
    }
  }
  return name;
}

/// How many of 50,000 slight changes of `name` are names too; each of them is formatted back.
template <class Parse>
int names_among_changes_of(const std::string& name, Parse parse) {
  std::mt19937 random(7);
  int names = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string changed = slightly_changed(name, random);
    const auto parsed = parse(changed);
    if (!parsed) continue;
    ++names;
    EXPECT_EQ(format(*parsed), changed);
  }
  return names;
}

TEST(CheckpointName, AnyTextThatIsParsedThenFormattedBackExactly) {
  for (const char* name : {"CKP-10_3.h5", "a-1_2-7_90.shards", "CKP_10-1_200_breakpoint.h5.enc",
                           "CKP-1_2.h5.replaced"}) {
    const int names = names_among_changes_of(name, parse_checkpoint_name);
    EXPECT_GT(names, 1000) << name;
    EXPECT_LT(names, 49'000) << name;
  }
}

TEST(TemporaryName, AnyTextThatIsParsedThenFormattedBackExactly) {
  for (const char* name : {".tmp-0123456789abcdef-node_1-100-0-CKP-1_2.h5",
                           ".trash-0123456789abcdef-n.a-7-33-CKP-1_2.shards"}) {
    const int names = names_among_changes_of(name, parse_temporary_name);
    EXPECT_GT(names, 1000) << name;
    EXPECT_LT(names, 49'000) << name;
  }
}

TEST(Names, OfOneSortThenNotOfAnother) {
  const std::string checkpoint = format(CheckpointName{"CKP", 1, 2});
  const std::string temporary =
      format(TemporaryName{.run = "0123456789abcdef", .host = "n", .final_name = checkpoint});
  const std::string lock = lock_name("CKP-1_2.h5");
  EXPECT_FALSE(parse_temporary_name(checkpoint) || parse_lock_name(checkpoint));
  EXPECT_FALSE(parse_checkpoint_name(temporary) || parse_lock_name(temporary));
  EXPECT_FALSE(parse_checkpoint_name(lock) || parse_temporary_name(lock));
}

TEST(Series, NumberedThenNamedAfterThePrefix) {
  EXPECT_EQ(series_name("CKP", 0), "CKP");
  EXPECT_EQ(series_name("CKP", 1), "CKP_1");
  EXPECT_EQ(series_name("CKP", 12), "CKP_12");
}

TEST(Series, OfThePrefixThenItsNumberIsRead) {
  EXPECT_EQ(series_number("CKP", "CKP"), 0U);
  EXPECT_EQ(series_number("CKP", "CKP_1"), 1U);
  EXPECT_EQ(series_number("CKP", "CKP_120"), 120U);
  EXPECT_EQ(series_number("run_", "run__3"), 3U);
}

TEST(Series, OfAnotherPrefixThenItHasNoNumber) {
  for (const char* series : {"", "CK", "ckp", "CKPX", "CKP2", "CKP-2", "CKP_", "CKP_x", "CKP_1x",
                             "CKP__1", "CKP_1_2", "XCKP_1", "CKP_-1", "CKP_+1", "CKP_ 1"}) {
    EXPECT_EQ(series_number("CKP", series), std::nullopt) << series;
  }
}

TEST(Series, LeadingZerosOrZeroThenItHasNoNumber) {
  EXPECT_EQ(series_number("CKP", "CKP_0"), std::nullopt);
  EXPECT_EQ(series_number("CKP", "CKP_01"), std::nullopt);
  EXPECT_EQ(series_number("CKP", "CKP_00"), std::nullopt);
}

TEST(Series, HugeNumberThenItHasNoNumber) {
  EXPECT_EQ(series_number("CKP", "CKP_999999999"), 999'999'999U);
  EXPECT_EQ(series_number("CKP", "CKP_1000000000"), std::nullopt);
  EXPECT_EQ(series_number("CKP", "CKP_4294967297"), std::nullopt);
  EXPECT_EQ(series_number("CKP", "CKP_18446744073709551617"), std::nullopt);
}

TEST(FreshSeries, NothingThereThenThePrefixItself) {
  EXPECT_EQ(fresh_series_number("CKP", {}), 0U);
}

TEST(FreshSeries, OnlyOtherPrefixesThereThenThePrefixItself) {
  const std::vector<CheckpointName> found{{"other", 1, 1}, {"CKP_x", 1, 1}, {"CKPX_4", 1, 1}};
  EXPECT_EQ(fresh_series_number("CKP", found), 0U);
}

TEST(FreshSeries, ThePrefixIsTakenThenOne) {
  const std::vector<CheckpointName> found{{"CKP", 1, 1}, {"CKP", 1, 2}, {"other_8", 1, 1}};
  EXPECT_EQ(fresh_series_number("CKP", found), 1U);
}

TEST(FreshSeries, GapsThenOneAboveTheHighest) {
  const std::vector<CheckpointName> found{{"CKP_7", 1, 1}, {"CKP_2", 1, 1}};
  EXPECT_EQ(fresh_series_number("CKP", found), 8U);
}

TEST(FreshSeries, BreakpointReplacedOrAnyKindThenItCounts) {
  EXPECT_EQ(fresh_series_number("CKP", std::vector<CheckpointName>{{"CKP", 1, 1, true}}), 1U);
  EXPECT_EQ(fresh_series_number(
                "CKP", std::vector<CheckpointName>{{"CKP_3", 1, 1, false, Kind::shards, true}}),
            4U);
}

TEST(FreshSeries, NumbersAreUsedUpThenAnError) {
  const std::vector<CheckpointName> nearly{{"CKP_999999998", 1, 1}};
  EXPECT_EQ(fresh_series_number("CKP", nearly), 999'999'999U);
  const std::vector<CheckpointName> full{{"CKP_999999999", 1, 1}};
  EXPECT_THAT(refusal([&] { fresh_series_number("CKP", full); }),
              AllOf(HasSubstr("prefix is \"CKP\""), HasSubstr("CKP_999999999")));
}

TEST(Sanitised, OrdinaryHostThenUnchanged) {
  EXPECT_EQ(sanitised("node1.cluster_A.org"), "node1.cluster_A.org");
}

TEST(Sanitised, OtherBytesThenUnderscores) {
  EXPECT_EQ(sanitised("node-1/a b"), "node_1_a_b");
  EXPECT_EQ(sanitised("\xc3\xa4\0"s), "___");
}

TEST(Sanitised, EmptyThenZero) {
  EXPECT_EQ(sanitised(""), "0");
}

TEST(Sanitised, LongThenCutAndStillTellsApartWhatDiffersAtTheEnd) {
  const std::string pool = "gke-training-cluster-a100-pool-1-";
  EXPECT_EQ(sanitised(std::string(32, 'h')), std::string(32, 'h'));
  EXPECT_EQ(sanitised(pool + "x2z4").size(), kMaxFieldBytes);
  EXPECT_THAT(sanitised(pool + "x2z4"), testing::StartsWith("gke_training_cluster_a1"));
  EXPECT_NE(sanitised(pool + "x2z4"), sanitised(pool + "x2z5"));
}

TEST(Sanitised, LongThenTheDigestIsFnv1a) {
  // 32-bit FNV-1a of 40 times 'a', computed with another program.
  EXPECT_EQ(sanitised(std::string(40, 'a')), std::string(23, 'a') + "_eb83bc4d");
}

TEST(Sanitised, TwiceThenTheSame) {
  for (const char* text : {"", "0", "a-b", "gke-training-cluster-a100-pool-1-x2z4"}) {
    EXPECT_EQ(sanitised(sanitised(text)), sanitised(text));
  }
}

constexpr const char* kRun = "0123456789abcdef";

TEST(TemporaryName, FormattedThenItSaysWhoseItIs) {
  EXPECT_EQ(
      format(TemporaryName{
          .run = kRun, .host = "node-1", .pid = 4711, .job = "99", .final_name = "CKP-1_2.h5"}),
      ".tmp-0123456789abcdef-node_1-4711-99-CKP-1_2.h5");
  EXPECT_EQ(format(TemporaryName{
                .trash = true, .run = kRun, .host = "n", .pid = 1, .final_name = "a-1_2.shards"}),
            ".trash-0123456789abcdef-n-1-0-a-1_2.shards");
}

TEST(TemporaryName, FormattedThenParsedBackWithHostAndJobSanitised) {
  const TemporaryName name{.trash = true,
                           .run = kRun,
                           .host = "node-1.cluster",
                           .pid = kMost,
                           .job = "12[3]",
                           .final_name = "a-b-1_2.h5.replaced"};
  TemporaryName expected = name;
  expected.host = "node_1.cluster";
  expected.job = "12_3_";
  EXPECT_EQ(parse_temporary_name(format(name)), expected);
}

TEST(TemporaryName, WithoutAJobThenItEqualsNoProgramsJob) {
  const auto parsed = parse_temporary_name(".tmp-0123456789abcdef-n-1-0-x.h5");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->job, "");
  EXPECT_NE(parsed->job, sanitised(""));
  EXPECT_NE(parsed->job, sanitised("0"));
}

TEST(TemporaryName, NotOneOfOursThenNotParsed) {
  EXPECT_TRUE(parse_temporary_name(".tmp-0123456789abcdef-n-1-0-x"));
  for (const char* name : {"",
                           ".tmp-",
                           ".trash-",
                           "tmp-0123456789abcdef-n-1-0-x",
                           ".tmp_0123456789abcdef-n-1-0-x",
                           ".temp-0123456789abcdef-n-1-0-x",
                           ".tmp-0123456789abcde-n-1-0-x",
                           ".tmp-0123456789abcdef0-n-1-0-x",
                           ".tmp-0123456789ABCDEF-n-1-0-x",
                           ".tmp-0123456789abcdeg-n-1-0-x",
                           ".tmp-0123456789abcdef--1-0-x",
                           ".tmp-0123456789abcdef-n--0-x",
                           ".tmp-0123456789abcdef-n-1--x",
                           ".tmp-0123456789abcdef-n-1-0-",
                           ".tmp-0123456789abcdef-n-1-0",
                           ".tmp-0123456789abcdef-n-1-",
                           ".tmp-0123456789abcdef-n",
                           ".tmp-0123456789abcdef",
                           ".tmp-0123456789abcdef-n-01-0-x",
                           ".tmp-0123456789abcdef-n-+1-0-x",
                           ".tmp-0123456789abcdef-n-18446744073709551616-0-x",
                           ".tmp-0123456789abcdef-n-1a-0-x",
                           ".tmp-0123456789abcdef-n m-1-0-x",
                           ".tmp-0123456789abcdef-n-1-j j-x",
                           ".tmp-0123456789abcdef-n-1-0-a/x",
                           ".tmp-0123456789abcdef-n-1-0-..",
                           ".tmp-0123456789abcdef-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-1-0-x"}) {
    EXPECT_EQ(parse_temporary_name(name), std::nullopt) << name;
  }
}

TEST(LockName, FormattedThenParsedBack) {
  EXPECT_EQ(lock_name("CKP_2"), ".lock-CKP_2");
  EXPECT_EQ(parse_lock_name(".lock-CKP_2"), "CKP_2");
}

TEST(LockName, NotOneOfOursThenNotParsed) {
  for (const char* name : {"", ".lock", ".lock-", "lock-CKP", ".lock-.x", ".lock-a/b", ".Lock-a"}) {
    EXPECT_EQ(parse_lock_name(name), std::nullopt) << name;
  }
}

TEST(RunId, WrittenInHexThenEveryByteHasTwoDigits) {
  RunId id{};
  EXPECT_EQ(to_hex(id), "00000000000000000000000000000000");
  id.front() = std::byte{0x0a};
  id.back() = std::byte{0xf1};
  EXPECT_EQ(to_hex(id), "0a0000000000000000000000000000f1");
}

}  // namespace
}  // namespace cairn::policy
