#include "codec/seal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "base/message_of.hpp"
#include "codec/crc32.hpp"
#include "codec/sha256.hpp"

// Against seal_vectors.json, which a writer in Python made from docs/format.md alone.

namespace cairn::codec {
namespace {

using nlohmann::json;
using testing::message_of;
using Buffer = std::vector<std::byte>;

constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kMacOffset = 4060;

json vectors(const char* name) {
  return json::parse(std::ifstream(CAIRN_SEAL_VECTORS)).at(name);
}

Buffer bytes_of(const json& digits) {
  const auto text = digits.get<std::string>();
  Buffer bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

template <class Array>
Array array_of(const json& digits) {
  const Buffer bytes = bytes_of(digits);
  Array array{};
  EXPECT_EQ(bytes.size(), array.size());
  std::ranges::copy(bytes, array.begin());
  return array;
}

template <class Bytes>
Buffer buffer_of(const Bytes& bytes) {
  return Buffer(bytes.begin(), bytes.end());
}

/// The rule that the file of vectors tells.
Buffer plain_of(std::uint64_t number, std::uint64_t size) {
  Buffer bytes;
  for (std::uint64_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::byte>((7 * i * i + 13 * i + 31 * number) / 4));
  }
  return bytes;
}

struct Block {
  std::uint64_t number;
  Buffer plain;
  Buffer sealed;
  Buffer tag;
};

struct Vector {
  EncMode mode;
  Buffer key;
  FileId file_id;
  Buffer header;  ///< with its MAC and CRC
  Digest digest;
  std::vector<Block> blocks;
  Buffer table_mac;
  GcmBy by = GcmBy::fastest;

  [[nodiscard]] Seal seal() const { return {Key(key), mode, file_id, by}; }
  [[nodiscard]] Buffer tags() const {
    Buffer all;
    for (const Block& block : blocks) all.insert(all.end(), block.tag.begin(), block.tag.end());
    return all;
  }
};

void PrintTo(const Vector& vector, std::ostream* out) {
  *out << to_string(vector.mode) << ", key of " << vector.key.size();
  if (vector.by == GcmBy::openssl) *out << ", by OpenSSL";
}

Buffer header_of(const json& header) {
  Buffer bytes = bytes_of(header.at("begin"));
  bytes.resize(kMacOffset);
  const Buffer mac = bytes_of(header.at("mac"));
  bytes.insert(bytes.end(), mac.begin(), mac.end());
  const auto crc = header.at("crc").get<std::uint32_t>();
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::byte>(crc >> shift));
  return bytes;
}

std::vector<Vector> all_vectors() {
  std::vector<Vector> found;
  for (const json& told : vectors("seals")) {
    Vector vector{.mode = enc_mode_named(told.at("mode").get<std::string>()),
                  .key = bytes_of(told.at("key")),
                  .file_id = array_of<FileId>(told.at("file_id")),
                  .header = header_of(told.at("header")),
                  .digest = array_of<Digest>(told.at("D")),
                  .blocks = {},
                  .table_mac = bytes_of(told.at("table_mac"))};
    for (const json& block : told.at("blocks")) {
      const auto number = block.at("number").get<std::uint64_t>();
      vector.blocks.push_back({number, plain_of(number, block.at("bytes").get<std::uint64_t>()),
                               bytes_of(block.at("sealed")), bytes_of(block.at("tag"))});
    }
    found.push_back(std::move(vector));
  }
  return found;
}

class SealVectors : public ::testing::TestWithParam<Vector> {};

TEST_P(SealVectors, HeaderThenTheSameMacAndDigest) {
  const Vector& vector = GetParam();
  ASSERT_EQ(vector.header.size(), kHeaderBytes);
  const Buffer expected(vector.header.begin() + kMacOffset, vector.header.end() - 4);
  EXPECT_EQ(buffer_of(vector.seal().header_mac(std::span(vector.header).first(kMacOffset))),
            expected);
  EXPECT_EQ(sha256(vector.header), vector.digest);
}

TEST_P(SealVectors, TagsThenTheSameTableMac) {
  const Vector& vector = GetParam();
  EXPECT_EQ(buffer_of(vector.seal().table_mac(vector.digest, vector.tags())), vector.table_mac);
}

TEST_P(SealVectors, BlocksSealedThenTheSameBytesAndTags) {
  const Vector& vector = GetParam();
  const Seal seal = vector.seal();
  EXPECT_EQ(seal.mode(), vector.mode);
  ASSERT_EQ(vector.blocks.size(), 3U);
  for (const Block& block : vector.blocks) {
    ASSERT_EQ(tag_bytes(vector.mode), block.tag.size());
    Buffer bytes = block.plain;
    Buffer tag(block.tag.size());
    seal.seal(block.number, vector.digest, bytes, tag);
    EXPECT_EQ(bytes, block.sealed) << "block " << block.number;
    EXPECT_EQ(tag, block.tag) << "block " << block.number;
  }
}

TEST_P(SealVectors, BlocksOpenedThenThePlainBytes) {
  const Vector& vector = GetParam();
  const Seal seal = vector.seal();
  for (const Block& block : vector.blocks) {
    Buffer bytes = block.sealed;
    EXPECT_TRUE(seal.open(block.number, vector.digest, bytes, block.tag));
    EXPECT_EQ(bytes, block.plain) << "block " << block.number;
  }
}

/// Whether the block opens after `change` has changed one of what it is opened with.
template <class Change>
bool opens(const Vector& vector, Block block, Change&& change) {
  Digest digest = vector.digest;
  Vector other = vector;
  change(block, digest, other);
  return other.seal().open(block.number, digest, block.sealed, block.tag);
}

TEST_P(SealVectors, AnythingElseThenNotOpened) {
  const Vector& vector = GetParam();
  constexpr std::byte kBit{0x80};
  for (const Block& block : vector.blocks) {
    EXPECT_TRUE(opens(vector, block, [](Block&, Digest&, Vector&) {}));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.sealed[0] ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.sealed.back() ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.tag[0] ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.tag.back() ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.number += 1; }));
    EXPECT_FALSE(opens(vector, block, [](Block& b, Digest&, Vector&) { b.number += 1ULL << 32; }));
    EXPECT_FALSE(opens(vector, block, [](Block&, Digest& d, Vector&) { d[31] ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block&, Digest&, Vector& v) { v.key[0] ^= kBit; }));
    EXPECT_FALSE(opens(vector, block, [](Block&, Digest&, Vector& v) { v.file_id[31] ^= kBit; }));
  }
}

INSTANTIATE_TEST_SUITE_P(AllModes, SealVectors, ::testing::ValuesIn(all_vectors()));

std::vector<Vector> vectors_of_gcm_by_openssl() {
  std::vector<Vector> found = all_vectors();
  std::erase_if(found, [](const Vector& vector) { return vector.mode != EncMode::aes_gcm; });
  for (Vector& vector : found) vector.by = GcmBy::openssl;
  return found;
}

INSTANTIATE_TEST_SUITE_P(GcmByOpenssl, SealVectors,
                         ::testing::ValuesIn(vectors_of_gcm_by_openssl()));

TEST(SealGcm, AnyLengthThenTheSameByBoth) {
  if (!WideGcm::is_there()) GTEST_SKIP() << "here OpenSSL is the only one";
  const Key key = Key::from_hex("000102030405060708090a0b0c0d0e0f1011121314151617");
  const Seal fastest(key, EncMode::aes_gcm, FileId{});
  const Seal openssl(key, EncMode::aes_gcm, FileId{}, GcmBy::openssl);
  for (std::size_t bytes = 0; bytes <= 4096; bytes += kCipherBlock) {
    const Buffer plain = plain_of(5, bytes);
    std::array sealed{plain, plain};
    std::array tags{Buffer(tag_bytes(EncMode::aes_gcm)), Buffer(tag_bytes(EncMode::aes_gcm))};
    fastest.seal(bytes, Digest{}, sealed[0], tags[0]);
    openssl.seal(bytes, Digest{}, sealed[1], tags[1]);
    ASSERT_EQ(sealed[0], sealed[1]) << bytes;
    ASSERT_EQ(tags[0], tags[1]) << bytes;
    ASSERT_TRUE(fastest.open(bytes, Digest{}, sealed[1], tags[1])) << bytes;
    ASSERT_EQ(sealed[1], plain);
  }
}

TEST(SealVectors, EachModeAndKeyLengthThenThere) {
  std::vector<std::pair<EncMode, std::size_t>> found;
  for (const Vector& vector : all_vectors()) found.emplace_back(vector.mode, vector.key.size());
  const std::vector<std::pair<EncMode, std::size_t>> expected{
      {EncMode::aes_gcm, 16}, {EncMode::aes_gcm, 24}, {EncMode::aes_gcm, 32},
      {EncMode::aes_cbc, 16}, {EncMode::aes_cbc, 24}, {EncMode::aes_cbc, 32},
      {EncMode::sm4_cbc, 16}};
  EXPECT_EQ(found, expected);
}

TEST(SealKey, LengthThatTheModeDoesNotTakeThenRefused) {
  const auto refused = [](std::size_t count, EncMode mode) {
    const Buffer bytes(count, std::byte{'k'});
    const std::string message =
        message_of(ErrorCode::invalid_argument, [&] { Seal(Key(bytes), mode, FileId{}); });
    EXPECT_EQ(message.find("kkkk"), std::string::npos) << message;
    return !message.empty();
  };
  for (const std::size_t count : {0, 1, 15, 17, 31, 33, 64}) {
    EXPECT_TRUE(refused(count, EncMode::aes_gcm)) << count;
    EXPECT_TRUE(refused(count, EncMode::aes_cbc)) << count;
    EXPECT_TRUE(refused(count, EncMode::sm4_cbc)) << count;
  }
  EXPECT_TRUE(refused(24, EncMode::sm4_cbc));
  EXPECT_TRUE(refused(32, EncMode::sm4_cbc));
  EXPECT_FALSE(refused(24, EncMode::aes_gcm));
}

TEST(Crc32Vectors, KnownTextsThenTheirCrcs) {
  const json known = vectors("crc32");
  ASSERT_EQ(known.size(), 5U);
  for (const json& vector : known) {
    const auto text = vector.at("text").get<std::string>();
    const auto bytes = std::as_bytes(std::span(text));
    const auto expected = vector.at("crc").get<std::uint32_t>();
    EXPECT_EQ(crc32(bytes), expected) << text;
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      EXPECT_EQ(crc32(bytes.subspan(cut), crc32(bytes.first(cut))), expected) << text << cut;
      EXPECT_EQ(
          combine_crc32(crc32(bytes.first(cut)), crc32(bytes.subspan(cut)), bytes.size() - cut),
          expected)
          << text << cut;
    }
  }
}

TEST(Crc32Vectors, PartsOfAnyLengthThenCombined) {
  const json known = vectors("crc32_combine");
  ASSERT_EQ(known.size(), 7U);
  for (const json& vector : known) {
    const auto second_bytes = vector.at("second_bytes").get<std::uint64_t>();
    EXPECT_EQ(combine_crc32(vector.at("first").get<std::uint32_t>(),
                            vector.at("second").get<std::uint32_t>(), second_bytes),
              vector.at("both").get<std::uint32_t>())
        << second_bytes;
  }
}

TEST(Seal, BytesFetchedInPartsThenTheSameAsInPlace) {
  constexpr std::size_t kBytes = (std::size_t{300} << 10) + 16;  // several parts, the last a short one
  std::vector<std::byte> plain(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) plain[i] = static_cast<std::byte>(i * 13 + i / 251);
  for (const EncMode mode : {EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc}) {
    const Key key = Key::from_hex("000102030405060708090a0b0c0d0e0f");
    const Seal seal(key, mode, FileId{});
    std::vector<std::byte> in_place = plain;
    std::vector<std::byte> tag(tag_bytes(mode));
    seal.seal(3, Digest{}, in_place, tag);
    std::vector<std::byte> fetched(kBytes, std::byte{0x77});
    std::vector<std::byte> other_tag(tag_bytes(mode));
    bool copies = false;  // by turns: bytes elsewhere, and bytes put into the part
    seal.seal(3, Digest{}, fetched, other_tag,
              [&](std::size_t at, std::span<std::byte> part) -> std::span<const std::byte> {
                const auto wanted = std::span(plain).subspan(at, part.size());
                copies = !copies;
                if (!copies) return wanted;
                std::ranges::copy(wanted, part.begin());
                return part;
              });
    EXPECT_EQ(fetched, in_place) << to_string(mode);
    EXPECT_EQ(other_tag, tag) << to_string(mode);
    EXPECT_TRUE(seal.open(3, Digest{}, fetched, other_tag));
    EXPECT_EQ(fetched, plain);
  }
}

}  // namespace
}  // namespace cairn::codec
