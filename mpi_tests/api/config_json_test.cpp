// Settings as JSON: what is taken, one refusal per test, and how a config is written out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/message_of.hpp"
#include "cairn/config.hpp"
#include "cairn/state.hpp"

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// The message of the refusal; "" where the text is taken.
std::string refusal(const std::string& text) {
  return cairn::testing::message_of(ErrorCode::invalid_argument,
                                    [&] { (void)CheckpointConfig::from_json(text); });
}

CheckpointPolicy policy_of(const std::string& text) {
  return CheckpointConfig::from_json(text).get_checkpoint_policy();
}

// What is taken.

TEST(ConfigJson, EmptyObjectThenTheDefaults) {
  EXPECT_EQ(policy_of("{}"), (CheckpointPolicy{1, none, 5, none}));
  EXPECT_EQ(to_string(CheckpointConfig::from_json("{}")), to_string(CheckpointConfig({})));
}

TEST(ConfigJson, EverySettingThenAllOfThemAreTaken) {
  const CheckpointSettings settings = settings_from_json(R"({
    "save_checkpoint_steps": null, "save_checkpoint_seconds": 30, "keep_checkpoint_max": 0,
    "keep_checkpoint_per_n_minutes": 3, "integrated_save": false,
    "enc_key": {"hex": "000102030405060708090a0b0c0d0e0F"}, "enc_mode": "SM4-CBC",
    "crc_check": true, "quarantine_damaged": true, "incremental": true, "steps_per_epoch": 7, "writer": "mpiio",
    "block_bytes": 65536, "staging_bytes": 1000000, "durable": false, "deadline_seconds": 9,
    "stale_after_hours": 5})");
  EXPECT_TRUE(settings.save_checkpoint_steps.is_none());
  EXPECT_EQ(settings.save_checkpoint_seconds, Count(30));
  EXPECT_EQ(settings.keep_checkpoint_max, Count(0));
  EXPECT_EQ(settings.keep_checkpoint_per_n_minutes, Count(3));
  EXPECT_FALSE(settings.integrated_save);
  ASSERT_EQ(settings.enc_key.bytes().size(), 16U);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(settings.enc_key.bytes()[i], std::byte(i));
  EXPECT_EQ(settings.enc_mode, EncMode::sm4_cbc);
  EXPECT_TRUE(settings.crc_check);
  EXPECT_TRUE(settings.quarantine_damaged);
  EXPECT_TRUE(settings.incremental);
  EXPECT_EQ(settings.steps_per_epoch, 7U);
  EXPECT_EQ(settings.write.writer, Writer::mpiio);
  EXPECT_EQ(settings.write.block_bytes, 65536U);
  EXPECT_EQ(settings.write.staging_bytes, 1000000U);
  EXPECT_FALSE(settings.write.durable);
  EXPECT_EQ(settings.write.deadline, std::chrono::seconds(9));
  EXPECT_EQ(settings.stale_after, std::chrono::hours(5));
}

TEST(ConfigJson, EveryModeAndWriterIsTakenByItsName) {
  EXPECT_EQ(settings_from_json(R"({"enc_mode": "AES-GCM"})").enc_mode, EncMode::aes_gcm);
  EXPECT_EQ(settings_from_json(R"({"enc_mode": "AES-CBC"})").enc_mode, EncMode::aes_cbc);
  EXPECT_EQ(settings_from_json(R"({"enc_mode": "SM4-CBC"})").enc_mode, EncMode::sm4_cbc);
  EXPECT_EQ(settings_from_json(R"({"writer": "direct"})").write.writer, Writer::direct);
  EXPECT_EQ(settings_from_json(R"({"writer": "hdf5"})").write.writer, Writer::hdf5);
  EXPECT_EQ(settings_from_json(R"({"writer": "mpiio"})").write.writer, Writer::mpiio);
}

TEST(ConfigJson, NullThenNone) {
  EXPECT_EQ(policy_of(R"({"save_checkpoint_steps": null, "save_checkpoint_seconds": 30,
                          "keep_checkpoint_max": null, "keep_checkpoint_per_n_minutes": 3})"),
            (CheckpointPolicy{none, 30, none, 3}));
  EXPECT_EQ(policy_of(R"({"save_checkpoint_seconds": null,
                          "keep_checkpoint_per_n_minutes": null})"),
            (CheckpointPolicy{1, none, 5, none}));
}

TEST(ConfigJson, ZeroThenReadBackAsZeroAndNotAsNone) {
  EXPECT_EQ(policy_of(R"({"save_checkpoint_steps": 0, "save_checkpoint_seconds": 0})"),
            (CheckpointPolicy{0, 0, 5, none}));
}

TEST(ConfigJson, NullForTheKeyThenThereIsNone) {
  EXPECT_TRUE(settings_from_json(R"({"enc_key": null})").enc_key.empty());
}

TEST(ConfigJson, NullForWhatOnlyAProgramCanGiveThenThereIsNone) {
  EXPECT_EQ(settings_from_json(R"({"saved_network": null})").saved_network, nullptr);
}

TEST(ConfigJson, LargestNumbersThenTheyAreTaken) {
  const CheckpointSettings settings = settings_from_json(
      R"({"save_checkpoint_steps": 9223372036854775807, "steps_per_epoch": 18446744073709551615})");
  EXPECT_EQ(settings.save_checkpoint_steps.value(), 9223372036854775807);
  EXPECT_EQ(settings.steps_per_epoch, 18446744073709551615U);
}

TEST(ConfigJson, SettingsFromItAndOneOfTheProgramThenBothAreInTheConfig) {
  const State network;
  CheckpointSettings settings = settings_from_json(R"({"save_checkpoint_seconds": 30})");
  settings.saved_network = &network;
  EXPECT_EQ(CheckpointConfig(settings).get_checkpoint_policy(),
            (CheckpointPolicy{none, 30, 5, none, &network}));
}

// Types.

TEST(ConfigJson, WrongTypeForACountThenAnErrorThatNamesItAndWhatItTakes) {
  for (const std::string name : {"save_checkpoint_steps", "save_checkpoint_seconds",
                                 "keep_checkpoint_max", "keep_checkpoint_per_n_minutes"}) {
    const std::string takes = "; it takes null or an integer from 0 to 9223372036854775807";
    EXPECT_EQ(refusal("{\"" + name + "\": \"10\"}"), name + " is a JSON string" + takes);
    EXPECT_EQ(refusal("{\"" + name + "\": true}"), name + " is a JSON boolean" + takes);
    EXPECT_EQ(refusal("{\"" + name + "\": [1]}"), name + " is a JSON array" + takes);
    EXPECT_EQ(refusal("{\"" + name + "\": {}}"), name + " is a JSON object" + takes);
  }
}

TEST(ConfigJson, WrongTypeForASwitchThenAnErrorThatNamesItAndWhatItTakes) {
  for (const std::string name :
       {"integrated_save", "async_save", "lazy_capture", "check_capture", "crc_check",
        "quarantine_damaged", "incremental", "durable"}) {
    const std::string takes = "; it takes true or false";
    EXPECT_EQ(refusal("{\"" + name + "\": 1}"), name + " is a JSON number" + takes);
    EXPECT_EQ(refusal("{\"" + name + "\": \"true\"}"), name + " is a JSON string" + takes);
    EXPECT_EQ(refusal("{\"" + name + "\": null}"), name + " is null" + takes);
  }
}

TEST(ConfigJson, WrongTypeForANumberThenAnErrorThatNamesItAndWhatItTakes) {
  for (const std::string name : {"steps_per_epoch", "block_bytes", "staging_bytes",
                                 "deadline_seconds", "stale_after_hours"}) {
    const std::string takes = "; it takes an integer from 0 to ";
    const auto given = [&](const char* value) {
      return refusal("{\"" + name + "\": " + value + "}");
    };
    EXPECT_THAT(given("\"7\""), StartsWith(name + " is a JSON string" + takes));
    EXPECT_THAT(given("null"), StartsWith(name + " is null" + takes));
    EXPECT_THAT(given("false"), StartsWith(name + " is a JSON boolean" + takes));
  }
}

TEST(ConfigJson, WrongTypeForAModeOrWriterThenAnErrorThatNamesItAndWhatItTakes) {
  EXPECT_EQ(refusal(R"({"enc_mode": 1})"),
            R"(enc_mode is a JSON number; it takes one of "AES-GCM", "AES-CBC", "SM4-CBC")");
  EXPECT_EQ(refusal(R"({"writer": null})"),
            R"(writer is null; it takes one of "direct", "hdf5", "mpiio")");
}

// Numbers.

TEST(ConfigJson, NegativeNumberThenAnErrorThatNamesTheSetting) {
  EXPECT_THAT(refusal(R"({"save_checkpoint_steps": -3})"),
              StartsWith("save_checkpoint_steps is -3; it takes null or an integer from 0"));
  EXPECT_THAT(refusal(R"({"steps_per_epoch": -1})"),
              StartsWith("steps_per_epoch is -1; it takes an integer from 0"));
  EXPECT_THAT(refusal(R"({"stale_after_hours": -9223372036854775808})"),
              StartsWith("stale_after_hours is -9223372036854775808; it takes"));
}

TEST(ConfigJson, FractionThenAnErrorThatNamesTheSetting) {
  EXPECT_THAT(refusal(R"({"keep_checkpoint_max": 2.5})"),
              StartsWith("keep_checkpoint_max is 2.5; it takes null or an integer"));
  EXPECT_THAT(refusal(R"({"steps_per_epoch": 1.0})"), StartsWith("steps_per_epoch is 1.0; "));
  EXPECT_THAT(refusal(R"({"block_bytes": 1e6})"), StartsWith("block_bytes is 1000000.0; "));
}

TEST(ConfigJson, NumberOutOfItsRangeThenAnErrorThatNamesTheSetting) {
  EXPECT_EQ(refusal(R"({"save_checkpoint_steps": 9223372036854775808})"),
            "save_checkpoint_steps is 9223372036854775808; it takes null or an integer from 0 to "
            "9223372036854775807");
  EXPECT_EQ(refusal(R"({"steps_per_epoch": 18446744073709551616})"),
            "steps_per_epoch is 1.8446744073709552e+19; it takes an integer from 0 to "
            "18446744073709551615");
  EXPECT_THAT(refusal(R"({"deadline_seconds": 9223372036854775808})"),
              StartsWith("deadline_seconds is 9223372036854775808; "));
}

TEST(ConfigJson, NumberThatNoFloatHoldsThenAnErrorThatNamesTheSetting) {
  EXPECT_THAT(refusal(R"({"crc_check": true, "keep_checkpoint_max": 1e999})"),
              AllOf(HasSubstr("larger than any setting takes"),
                    HasSubstr("\"keep_checkpoint_max\"")));
}

TEST(ConfigJson, ValueThatTheConfigRefusesThenItsError) {
  EXPECT_THAT(refusal(R"({"block_bytes": 5000000})"),
              StartsWith("block_bytes is 5000000; it takes a power of two"));
  EXPECT_THAT(refusal(R"({"deadline_seconds": 0})"), StartsWith("deadline is 0 seconds; "));
  EXPECT_THAT(refusal(R"({"save_checkpoint_steps": 0, "save_checkpoint_seconds": null,
                          "keep_checkpoint_max": 0, "keep_checkpoint_per_n_minutes": null})"),
              HasSubstr("are 0, none, 0 and none, which turns everything off"));
}

TEST(ConfigJson, AppendInfoThenItsTypesAreThoseOfJson) {
  const CheckpointConfig config = CheckpointConfig::from_json(
      R"({"append_info": ["step_num", {"lr": 0.5, "seed": -3, "on": true, "note": "a text",
                                       "epoch_num": 10, "whole": 2.0}]})");
  const auto& dict = config.append_dict().entries();
  EXPECT_EQ(dict.size(), 7U);
  EXPECT_EQ(std::get<std::int64_t>(dict.at("step_num").value()), 0);
  EXPECT_EQ(std::get<std::int64_t>(dict.at("epoch_num").value()), 10);
  EXPECT_EQ(std::get<double>(dict.at("lr").value()), 0.5);
  EXPECT_EQ(std::get<double>(dict.at("whole").value()), 2.0);
  EXPECT_EQ(std::get<std::int64_t>(dict.at("seed").value()), -3);
  EXPECT_EQ(std::get<bool>(dict.at("on").value()), true);
  EXPECT_EQ(std::get<std::string>(dict.at("note").value()), "a text");
  EXPECT_THAT(to_string(config), HasSubstr(R"(append_info: step_num, epoch_num = 10, lr = 0.5, )"
                                           R"(note = "a text", on = true, seed = -3, whole = 2.0)"));
  EXPECT_TRUE(CheckpointConfig::from_json(R"({"append_info": null})").append_dict().empty());
}

TEST(ConfigJson, AppendInfoThatIsNoListThenAnErrorThatSaysWhatItTakes) {
  const std::string takes = R"(; it takes null or a list of "epoch_num", "step_num" and one object)";
  EXPECT_EQ(refusal(R"({"append_info": "step_num"})"), "append_info is a JSON string" + takes);
  EXPECT_EQ(refusal(R"({"append_info": [1]})"), "append_info is a list with a JSON number" + takes);
}

TEST(ConfigJson, AppendInfoWithWhatJsonCannotCarryThenAnErrorThatSaysSo) {
  for (const std::string value : {"[1, 2]", "{\"a\": 1}", "null", "9223372036854775808"}) {
    EXPECT_THAT(refusal(R"({"append_info": [{"ema": )" + value + "}]}"),
                AllOf(HasSubstr("append_info: \"ema\" is "),
                      HasSubstr("tensors only a program can give")))
        << value;
  }
}

TEST(ConfigJson, AppendInfoThatTheConfigRefusesThenItsOwnError) {
  const auto error = [](const std::string& text) {
    try {
      static_cast<void>(CheckpointConfig::from_json(text));
    } catch (const Error& refused) {
      return std::string(refused.what());
    }
    return std::string();
  };
  EXPECT_THAT(error(R"({"append_info": ["steps"]})"), HasSubstr("\"steps\""));
  EXPECT_THAT(error(R"({"append_info": [{}, {}]})"), HasSubstr("second dictionary"));
  EXPECT_THAT(error(R"({"append_info": [{"epoch_num": 1.5}]})"), HasSubstr("\"epoch_num\""));
}

// Names.

TEST(ConfigJson, UnknownNameThenAnErrorThatListsTheValidOnes) {
  EXPECT_EQ(refusal(R"({"save_every": 10})"),
            "there is no setting \"save_every\"; the settings are save_checkpoint_steps, "
            "save_checkpoint_seconds, keep_checkpoint_max, keep_checkpoint_per_n_minutes, "
            "integrated_save, async_save, lazy_capture, check_capture, enc_key, enc_mode, "
            "append_info, crc_check, exception_save, exception_save_timeout_seconds, stop_before, "
            "on_save_failure, quarantine_damaged, incremental, steps_per_epoch, writer, "
            "block_bytes, staging_bytes, durable, deadline_seconds, stale_after_hours");
}

TEST(ConfigJson, NameInOtherLettersThenItIsUnknown) {
  EXPECT_THAT(refusal(R"({"CRC_check": true})"), HasSubstr("no setting \"CRC_check\""));
  EXPECT_THAT(refusal(R"({"": true})"), HasSubstr("no setting \"\""));
  EXPECT_THAT(refusal(R"({"crc_check\u0000\u001b": true})"),
              HasSubstr(R"(no setting "crc_check\u0000\u001b")"));
}

TEST(ConfigJson, SettingGivenTwiceThenAnErrorThatNamesIt) {
  EXPECT_THAT(refusal(R"({"crc_check": true, "durable": true, "crc_check": true})"),
              AllOf(HasSubstr("a setting is given twice"), HasSubstr("\"crc_check\"")));
}

TEST(ConfigJson, WhatOnlyAProgramCanGiveThenAnErrorThatSaysSo) {
  for (const std::string name : {"saved_network", "listener", "clock", "run_id"}) {
    EXPECT_EQ(refusal("{\"" + name + "\": \"x\"}"),
              name + " cannot be given in JSON: set it in the program");
  }
}

TEST(ConfigJson, UnknownModeOrWriterThenAnErrorThatListsTheValidOnes) {
  EXPECT_EQ(refusal(R"({"enc_mode": "AES"})"),
            R"(enc_mode is "AES"; it takes one of "AES-GCM", "AES-CBC", "SM4-CBC")");
  EXPECT_EQ(refusal(R"({"writer": "fast"})"),
            R"(writer is "fast"; it takes one of "direct", "hdf5", "mpiio")");
}

// Text that is no object.

TEST(ConfigJson, NoObjectThenAnErrorThatSaysWhatItIs) {
  EXPECT_EQ(refusal("[]"), "the settings are a JSON array; expected an object");
  EXPECT_EQ(refusal("null"), "the settings are null; expected an object");
  EXPECT_EQ(refusal("3"), "the settings are a JSON number; expected an object");
}

TEST(ConfigJson, NoJsonThenAnErrorThatSaysWhereItIsWrong) {
  EXPECT_EQ(refusal(""), "the settings are no JSON: something is wrong at byte 0 of 0");
  EXPECT_EQ(refusal(R"({"crc_check": yes})"),
            "the settings are no JSON: something is wrong at byte 15 of 18, in or after the "
            "setting \"crc_check\"");
  EXPECT_THAT(refusal("{} {}"), HasSubstr("at byte 4 of 5"));
  EXPECT_THAT(refusal("{\"writer\": \"\xff\"}"), HasSubstr("no JSON"));
}

TEST(ConfigJson, NestedWithoutEndThenAnErrorAndNoOverflow) {
  EXPECT_THAT(refusal(std::string(1'000'000, '[')), HasSubstr("no JSON"));
  EXPECT_EQ(refusal(std::string(1'000'000, '[') + std::string(1'000'000, ']')),
            "the settings are a JSON array; expected an object");
}

// The key.

const std::string kSecret = "c0ffee11c0ffee11c0ffee11c0ffee11";  // 16 bytes

void expect_key_refused(const std::string& text, const std::string& words) {
  EXPECT_THAT(refusal(text), AllOf(HasSubstr("enc_key"), HasSubstr(words), Not(HasSubstr("c0ff"))));
}

TEST(ConfigJson, KeyThatIsNotInAnObjectThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"enc_key": "c0ffee11"})", R"(is a JSON string; it takes null or {"hex")");
  expect_key_refused(R"({"enc_key": ["c0ffee11"]})", "is a JSON array");
  EXPECT_THAT(refusal(R"({"enc_key": 123456})"),
              AllOf(HasSubstr("enc_key is a JSON number"), Not(HasSubstr("123456"))));
}

TEST(ConfigJson, KeyUnderAnotherNameThanHexThenAnErrorThatShowsNeither) {
  const std::string words = "is an object of other names than \"hex\" alone";
  expect_key_refused(R"({"enc_key": {"HEX": "c0ffee11"}})", words);
  expect_key_refused(R"({"enc_key": {"c0ffee11": 1}})", words);
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11", "c0ffee12": 1}})", words);
  expect_key_refused(R"({"enc_key": {}})", words);
}

TEST(ConfigJson, KeyGivenTwiceThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11", "hex": "c0ffee12"}})", "given twice");
  expect_key_refused(R"({"enc_key": {"c0ffee11": 1, "c0ffee11": 2}})", "given twice");
}

TEST(ConfigJson, KeyThatIsNoTextThenAnErrorThatDoesNotShowIt) {
  EXPECT_THAT(refusal(R"({"enc_key": {"hex": 123456}})"),
              AllOf(HasSubstr("enc_key's \"hex\" is a JSON number; it takes a text"),
                    Not(HasSubstr("123456"))));
}

TEST(ConfigJson, KeyThatIsNotHexadecimalThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11g0"}})", "enc_key: a key in hexadecimal");
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11c"}})", "two digits a byte; got 9 digits");
}

TEST(ConfigJson, KeyWithoutDigitsThenAnErrorAndNotAPlainCheckpoint) {
  expect_key_refused(R"({"enc_key": {"hex": ""}})", "is an object without digits");
  expect_key_refused(R"({"enc_key": {"hex": " "}})", "is an object without digits");
}

TEST(ConfigJson, KeyOfAWrongLengthThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11"}})", "has 4 bytes; enc_mode AES-GCM takes");
}

TEST(ConfigJson, KeyTogetherWithCrcCheckThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"crc_check": true, "enc_key": {"hex": ")" + kSecret + "\"}}",
                     "crc_check is true");
}

TEST(ConfigJson, NoJsonAroundAKeyThenAnErrorThatDoesNotShowIt) {
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11)", "no JSON");
  expect_key_refused(R"({"enc_key": c0ffee11})", "no JSON");
  expect_key_refused(R"({"enc_key": {"hex": "c0ffee11" "c0ffee12"}})", "no JSON");
  EXPECT_THAT(refusal(R"({"enc_key": 123e4567})"), Not(HasSubstr("123e")));
}

TEST(ConfigJson, KeyInThePlaceOfSomethingElseThenAnErrorThatDoesNotShowIt) {
  for (const std::string& text :
       {"{\"enc_mode\": \"" + kSecret + "\"}", "{\"writer\": \"" + kSecret + "\"}",
        "{\"" + kSecret + "\": 1}", "{\"" + kSecret + "\": }",
        "{\"" + kSecret + "\": 1, \"" + kSecret + "\": 1}",
        "{\"save_checkpoint_steps\": \"" + kSecret + "\"}", "\"" + kSecret + "\"", kSecret}) {
    EXPECT_THAT(refusal(text), AllOf(Not(""), Not(HasSubstr("c0ff")))) << text;
  }
}

// Writing out.

TEST(ConfigText, WrittenOutThenALineForEachSettingResolved) {
  EXPECT_EQ(to_string(CheckpointConfig({.save_checkpoint_seconds = 30, .steps_per_epoch = 12})),
            "save_checkpoint_steps: none\n"
            "save_checkpoint_seconds: 30\n"
            "keep_checkpoint_max: 5\n"
            "keep_checkpoint_per_n_minutes: none\n"
            "integrated_save: true\n"
            "async_save: false\n"
            "lazy_capture: false\n"
            "check_capture: false\n"
            "saved_network: none\n"
            "enc_key: none\n"
            "enc_mode: AES-GCM\n"
            "append_info: none\n"
            "crc_check: false\n"
            "exception_save: false\n"
            "exception_save_timeout_seconds: 60\n"
            "stop_before: none\n"
            "on_save_failure: fail\n"
            "quarantine_damaged: false\n"
            "incremental: false\n"
            "steps_per_epoch: 12\n"
            "writer: direct\n"
            "block_bytes: 4194304\n"
            "staging_bytes: 67108864\n"
            "durable: true\n"
            "deadline_seconds: 600\n"
            "stale_after_hours: 168\n"
            "listener: none\n"
            "clock: none\n"
            "run_id: none");
}

TEST(ConfigText, KeyThenItsLengthAndNoneOfItsBytes) {
  const CheckpointConfig config({.enc_key = Key::from_hex(kSecret)});
  EXPECT_THAT(to_string(config),
              AllOf(HasSubstr("enc_key: a key of 16 bytes\n"), Not(HasSubstr("c0ff")),
                    Not(HasSubstr("C0FF")), Not(HasSubstr("\xc0\xff"))));
}

TEST(ConfigText, WhatOnlyAProgramCanGiveThenWhetherItIsGiven) {
  const State network;
  const std::string text = to_string(CheckpointConfig({.saved_network = &network,
                                                       .clock = [] { return Time(); },
                                                       .run_id = RunId{}}));
  EXPECT_THAT(text, AllOf(HasSubstr("saved_network: given\n"), HasSubstr("clock: given\n"),
                          EndsWith("run_id: given")));
}

TEST(ConfigText, StreamedThenTheSameText) {
  const CheckpointConfig config({});
  std::ostringstream out;
  out << config;
  EXPECT_EQ(out.str(), to_string(config));
}

}  // namespace
}  // namespace cairn
