// The table of settings, row by row, and what is refused when a config is made. What the four
// counts mean together is in policy/resolution_test.cpp; lengths of keys, in protection_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/message_of.hpp"
#include "cairn/config.hpp"
#include "cairn/state.hpp"

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const CheckpointConfig& default_config() {
  static const CheckpointConfig config({});
  return config;
}

std::string refusal(const CheckpointSettings& settings) {
  return cairn::testing::message_of(ErrorCode::invalid_argument,
                                    [&] { const CheckpointConfig config(settings); });
}

// Defaults, in the order of the table.

TEST(SettingsTable, SaveCheckpointStepsUnsetThenOne) {
  EXPECT_EQ(default_config().save_checkpoint_steps(), Count(1));
}

TEST(SettingsTable, SaveCheckpointSecondsUnsetThenOff) {
  EXPECT_EQ(default_config().save_checkpoint_seconds(), Count(none));
}

TEST(SettingsTable, KeepCheckpointMaxUnsetThenFive) {
  EXPECT_EQ(default_config().keep_checkpoint_max(), Count(5));
}

TEST(SettingsTable, KeepCheckpointPerNMinutesUnsetThenOff) {
  EXPECT_EQ(default_config().keep_checkpoint_per_n_minutes(), Count(none));
}

TEST(SettingsTable, IntegratedSaveUnsetThenTrue) {
  EXPECT_TRUE(default_config().integrated_save());
}

TEST(SettingsTable, AsyncSaveUnsetThenFalse) {
  EXPECT_FALSE(default_config().async_save());
}

TEST(SettingsTable, SavedNetworkUnsetThenNone) {
  EXPECT_EQ(default_config().saved_network(), nullptr);
}

TEST(SettingsTable, EncKeyUnsetThenNone) {
  EXPECT_TRUE(default_config().enc_key().empty());
}

TEST(SettingsTable, EncModeUnsetThenAesGcm) {
  EXPECT_EQ(default_config().enc_mode(), EncMode::aes_gcm);
}

TEST(SettingsTable, CrcCheckUnsetThenFalse) {
  EXPECT_FALSE(default_config().crc_check());
}

TEST(SettingsTable, IncrementalUnsetThenMapParamIncIsFalse) {
  EXPECT_FALSE(default_config().map_param_inc());
}

TEST(SettingsTable, IncrementalGivenThenReadBackAsMapParamInc) {
  EXPECT_TRUE(CheckpointConfig({.incremental = true}).map_param_inc());
  EXPECT_FALSE(CheckpointConfig({.incremental = false}).map_param_inc());
}

TEST(SettingsTable, StepsPerEpochUnsetThenZero) {
  EXPECT_EQ(default_config().steps_per_epoch(), 0U);
}

TEST(SettingsTable, EverySettingGivenThenEachIsReadBack) {
  const State network;
  const Key key = Key::from_hex("000102030405060708090a0b0c0d0e0f");
  const CheckpointConfig config({.save_checkpoint_steps = 7,
                                 .keep_checkpoint_per_n_minutes = 3,
                                 .integrated_save = false,
                                 .async_save = true,
                                 .saved_network = &network,
                                 .enc_key = key,
                                 .enc_mode = EncMode::sm4_cbc,
                                 .steps_per_epoch = 12});
  EXPECT_EQ(config.save_checkpoint_steps(), Count(7));
  EXPECT_EQ(config.save_checkpoint_seconds(), Count(none));
  EXPECT_EQ(config.keep_checkpoint_max(), Count(none));
  EXPECT_EQ(config.keep_checkpoint_per_n_minutes(), Count(3));
  EXPECT_FALSE(config.integrated_save());
  EXPECT_TRUE(config.async_save());
  EXPECT_EQ(config.saved_network(), &network);
  EXPECT_EQ(config.enc_key(), key);
  EXPECT_EQ(config.enc_mode(), EncMode::sm4_cbc);
  EXPECT_EQ(config.steps_per_epoch(), 12U);
  EXPECT_TRUE(CheckpointConfig({.crc_check = true}).crc_check());
}

TEST(SettingsTable, PolicyAskedForThenExactlyFiveEntriesResolved) {
  const State network;
  const CheckpointConfig config({.save_checkpoint_seconds = 30, .saved_network = &network});
  const auto [steps, seconds, max, per_n_minutes, saved_network] = config.get_checkpoint_policy();
  EXPECT_EQ(steps, Count(none));
  EXPECT_EQ(seconds, Count(30));
  EXPECT_EQ(max, Count(5));
  EXPECT_EQ(per_n_minutes, Count(none));
  EXPECT_EQ(saved_network, &network);
}

TEST(SettingsTable, PoliciesThatDifferInTheSavedNetworkThenTheyAreNotEqual) {
  const State one;
  const State other;
  const auto policy_of = [](const State* network) {
    return CheckpointConfig({.saved_network = network}).get_checkpoint_policy();
  };
  EXPECT_EQ(policy_of(&one), policy_of(&one));
  EXPECT_NE(policy_of(&one), policy_of(&other));
  EXPECT_NE(policy_of(&one), policy_of(nullptr));
}

// Refusals that need no JSON.

TEST(Validation, EncModeThatThereIsNotThenAnErrorThatListsTheValidOnes) {
  CheckpointSettings settings{.enc_key = Key::from_hex("000102030405060708090a0b0c0d0e0f")};
  settings.enc_mode = static_cast<EncMode>(9);
  EXPECT_EQ(refusal(settings),
            "enc_mode is the number 9; it takes AES-GCM, AES-CBC or SM4-CBC");
}

TEST(Validation, WriterThatThereIsNotThenAnErrorThatListsTheValidOnes) {
  EXPECT_EQ(refusal({.write = {.writer = static_cast<Writer>(9)}}),
            "writer is the number 9; it takes direct, hdf5 or mpiio");
}

TEST(Validation, AnySettingRefusedWhereThereIsAKeyThenTheKeyIsNotShown) {
  const Key key = Key::from_hex("6b6579206b6579206b6579206b657921");  // "key key key key!"
  const std::vector<CheckpointSettings> all{
      {.save_checkpoint_steps = -1, .enc_key = key},
      {.save_checkpoint_seconds = -1, .enc_key = key},
      {.keep_checkpoint_max = -1, .enc_key = key},
      {.keep_checkpoint_per_n_minutes = -1, .enc_key = key},
      {.save_checkpoint_steps = 0,
       .save_checkpoint_seconds = 0,
       .keep_checkpoint_max = 0,
       .keep_checkpoint_per_n_minutes = 0,
       .enc_key = key},
      {.enc_key = Key(key.bytes().first(15))},
      {.enc_key = Key(key.bytes().first(15)), .enc_mode = EncMode::sm4_cbc},
      {.enc_key = key, .enc_mode = static_cast<EncMode>(9)},
      {.enc_key = key, .crc_check = true},
      {.enc_key = key, .write = {.writer = Writer::hdf5}},
      {.enc_key = key, .write = {.block_bytes = 1}},
      {.enc_key = key, .stale_after = std::chrono::hours(-1)}};
  for (const CheckpointSettings& settings : all) {
    EXPECT_THAT(refusal(settings),
                AllOf(Not(""), Not(HasSubstr("key key")), Not(HasSubstr("6b6579")),
                      Not(HasSubstr("6B6579"))));
  }
}

}  // namespace
}  // namespace cairn
