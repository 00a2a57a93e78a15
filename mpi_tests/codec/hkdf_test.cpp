#include "codec/hkdf.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace cairn::codec {
namespace {

std::vector<std::byte> from_hex(std::string_view digits) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(
        static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::vector<std::byte> bytes_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> text(std::string_view text) { return bytes_of(std::as_bytes(std::span(text))); }

// RFC 4231, test cases 1, 2 and 3.
TEST(SecretHmac, VectorsOfTheStandard) {
  struct Case {
    std::vector<std::byte> key, message;
    const char* mac;
  };
  for (const Case& one : {
           Case{std::vector(20, std::byte{0x0B}), text("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
           Case{text("Jefe"), text("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
           Case{std::vector(20, std::byte{0xAA}), std::vector(50, std::byte{0xDD}),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
       }) {
    const std::span<const std::byte> message(one.message);
    EXPECT_EQ(bytes_of(secret_hmac(one.key, {message})), from_hex(one.mac));
    EXPECT_EQ(bytes_of(secret_hmac(one.key, {message.first(3), message.subspan(3)})),
              from_hex(one.mac));
  }
}

// RFC 5869, test cases 1 and 3: the first 32 of their 42 bytes.
TEST(Hkdf, VectorsOfTheStandard) {
  const std::vector secret(22, std::byte{0x0B});
  {
    const Key pseudorandom = hkdf_extract(from_hex("000102030405060708090a0b0c"), secret);
    EXPECT_EQ(bytes_of(pseudorandom.bytes()),
              from_hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    std::vector<std::byte> out(32);
    hkdf_expand(pseudorandom, from_hex("f0f1f2f3f4f5f6f7f8f9"), out);
    EXPECT_EQ(out, from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    out.resize(16);
    hkdf_expand(pseudorandom, from_hex("f0f1f2f3f4f5f6f7f8f9"), out);
    EXPECT_EQ(out, from_hex("3cb25f25faacd57a90434f64d0362f2a"));
  }
  std::vector<std::byte> out(32);
  hkdf_expand(hkdf_extract({}, secret), {}, out);
  EXPECT_EQ(out, from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"));
}

}  // namespace
}  // namespace cairn::codec
