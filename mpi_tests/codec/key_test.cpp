#include "cairn/key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>

#include "cairn/error.hpp"

namespace cairn {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::byte> bytes_of(const Key& key) {
  return {key.bytes().begin(), key.bytes().end()};
}

std::vector<std::byte> counted(std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(i * 11 + 1));
  return bytes;
}

/// What the kernel says of the mapping that `address` lies in: its line of flags.
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream words(line);
    if (words >> std::hex >> begin >> dash >> end && dash == '-') {
      inside = begin <= wanted && wanted < end;
    }
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

void expect_refused(const std::string& digits, const std::string& word) {
  try {
    (void)Key::from_hex(digits);
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr(word));
    EXPECT_THAT(error.what(), Not(HasSubstr(digits)));
  }
}

TEST(Key, NothingGivenThenThereIsNone) {
  EXPECT_TRUE(Key().empty());
  EXPECT_TRUE(Key(std::span<const std::byte>()).empty());
  EXPECT_TRUE(Key::from_hex(" \n").empty());
  EXPECT_EQ(Key().bytes().size(), 0U);
}

TEST(Key, BytesGivenThenItHasACopy) {
  std::vector<std::byte> bytes = counted(32);
  const Key key(bytes);
  bytes.assign(32, std::byte{0});
  EXPECT_EQ(bytes_of(key), counted(32));
}

TEST(Key, HexadecimalThenItsBytes) {
  const std::vector<std::byte> expected{std::byte{0x00}, std::byte{0x9F}, std::byte{0xaB}};
  EXPECT_EQ(bytes_of(Key::from_hex(" 009fAb\n")), expected);
}

TEST(Key, HexadecimalWithAnOddNumberOfDigitsIsRefusedWithoutQuotingIt) {
  expect_refused("00ff00ff0", "9 digits");
}

TEST(Key, AnotherCharacterIsRefusedWithItsPlaceAndWithoutQuotingIt) {
  expect_refused("00ff0g", "digits 4 and 5");
  expect_refused("00-f00", "digits 2 and 3");
}

TEST(Key, MoreThanAPageIsRefused) {
  const std::vector<std::byte> bytes(4097);
  EXPECT_THROW(Key{bytes}, Error);
}

TEST(Key, EqualBytesAreEqualAndOthersNot) {
  std::vector<std::byte> other = counted(32);
  other[31] ^= std::byte{1};
  EXPECT_EQ(Key(counted(32)), Key(counted(32)));
  EXPECT_FALSE(Key(counted(32)) == Key(other));
  EXPECT_FALSE(Key(counted(32)) == Key(counted(16)));
  EXPECT_FALSE(Key(counted(32)) == Key());
  EXPECT_EQ(Key(), Key());
}

TEST(Key, ItsPageIsLeftOutOfCoreDumps) {
  const std::vector<std::byte> outside = counted(32);
  const Key key(outside);
  EXPECT_THAT(flags_of(key.bytes().data()), HasSubstr(" dd "));
  EXPECT_THAT(flags_of(outside.data()), Not(HasSubstr(" dd ")));
}

TEST(Key, TheLastCopyGoneThenItsPageIsGoneToo) {
  const std::byte* address = nullptr;
  {
    const Key key(counted(32));
    address = key.bytes().data();
    { const Key copy = key; }
    EXPECT_NE(flags_of(address), "");
    EXPECT_EQ(bytes_of(key), counted(32));
  }
  EXPECT_THAT(flags_of(address), Not(HasSubstr(" dd ")));
}

TEST(EncMode, NamesAreThoseOfTheSettings) {
  for (const EncMode mode : {EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc}) {
    EXPECT_EQ(enc_mode_named(to_string(mode)), mode);
  }
  EXPECT_EQ(to_string(EncMode::aes_gcm), "AES-GCM");
  EXPECT_EQ(to_string(EncMode::aes_cbc), "AES-CBC");
  EXPECT_EQ(to_string(EncMode::sm4_cbc), "SM4-CBC");
}

TEST(EncMode, AnotherNameIsRefusedWithTheValidOnes) {
  try {
    (void)enc_mode_named("aes-gcm");
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "enc_mode is 'aes-gcm', expected AES-GCM, AES-CBC or SM4-CBC");
  }
}

}  // namespace
}  // namespace cairn
