// AES-GCM goes through WideGcm where that is there, all else through OpenSSL.
//
// Every OpenSSL context lives for one block only: setting one up costs a microsecond, and no
// expanded key outlives its use. The keys themselves lie in the pages of `Key`, and no context ever
// gets the user's (codec/hkdf).
#include "codec/seal.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <initializer_list>
#include <limits>
#include <string>

#include "base/handle.hpp"
#include "cairn/error.hpp"
#include "codec/hkdf.hpp"

namespace cairn::codec {
namespace {

template <class T, void (*Free)(T*)>
struct OpenSslTraits {
  using Handle = T*;
  static Handle null() noexcept { return nullptr; }
  static void close(Handle handle) noexcept { Free(handle); }
};
using Cipher = UniqueHandle<OpenSslTraits<EVP_CIPHER, EVP_CIPHER_free>>;
using CipherContext = UniqueHandle<OpenSslTraits<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>>;
using MacAlgorithm = UniqueHandle<OpenSslTraits<EVP_MAC, EVP_MAC_free>>;
using MacContext = UniqueHandle<OpenSslTraits<EVP_MAC_CTX, EVP_MAC_CTX_free>>;

using ConstBytes = std::span<const std::byte>;

constexpr std::size_t kGcmTagBytes = WideGcm::kTagBytes;
constexpr std::size_t kNonceBytes = WideGcm::kNonceBytes;
constexpr std::size_t kCounterBytes = 8;

// The order of the keys for MACs.
constexpr std::size_t kBlockMacs = 0;
constexpr std::size_t kHeaderMacs = 1;
constexpr std::size_t kTableMacs = 2;

const unsigned char* raw(ConstBytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

void require(bool good, const char* what) {
  if (!good) throw Error(ErrorCode::io, std::string("OpenSSL cannot ") + what);
}

/// OpenSSL counts in `int`; a block has at most 1 GiB.
int length_of(ConstBytes bytes) {
  require(bytes.size() <= std::numeric_limits<int>::max(), "work on more than 2 GiB at once");
  return static_cast<int>(bytes.size());
}

std::string cipher_name(EncMode mode, std::size_t key_bytes) {
  if (mode == EncMode::sm4_cbc) return "SM4-CBC";
  return "AES-" + std::to_string(8 * key_bytes) + (mode == EncMode::aes_gcm ? "-GCM" : "-CBC");
}

std::string single_block_name(EncMode mode, std::size_t key_bytes) {
  if (mode == EncMode::sm4_cbc) return "SM4-ECB";
  return "AES-" + std::to_string(8 * key_bytes) + "-ECB";
}

std::array<std::byte, kCounterBytes> little_endian(std::uint64_t number) {
  std::array<std::byte, kCounterBytes> bytes{};
  for (std::byte& b : bytes) {
    b = static_cast<std::byte>(number & 0xFF);
    number >>= 8;
  }
  return bytes;
}

enum class Direction : int { open = 0, seal = 1 };

/// A context ready for data, without padding.
CipherContext start(const std::string& name, Direction direction, ConstBytes key, ConstBytes iv) {
  const Cipher cipher(EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr));
  require(cipher.get() != nullptr, ("find the cipher " + name).c_str());
  CipherContext context(EVP_CIPHER_CTX_new());
  require(context.get() != nullptr &&
              EVP_CipherInit_ex2(context.get(), cipher.get(), raw(key),
                                 iv.empty() ? nullptr : raw(iv), static_cast<int>(direction),
                                 nullptr) == 1 &&
              EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1,
          "set a cipher up");
  return context;
}

void run(const CipherContext& context, ConstBytes from, std::span<std::byte> to) {
  int done = 0;
  require(EVP_CipherUpdate(context.get(), raw(to), &done, raw(from), length_of(from)) == 1 &&
              done == length_of(from),
          "run a cipher");
}

void run(const CipherContext& context, std::span<std::byte> bytes) { run(context, bytes, bytes); }

void run(const CipherContext& context, std::span<std::byte> bytes, const Fetch& fetch) {
  encrypt_parts(bytes, fetch,
                [&](ConstBytes from, std::span<std::byte> to) { run(context, from, to); });
}

Mac hmac(ConstBytes key, std::initializer_list<ConstBytes> parts) {
  const MacAlgorithm algorithm(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  const MacContext context(EVP_MAC_CTX_new(algorithm.get()));
  std::string digest = "SHA256";
  const std::array parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  bool good = context.get() != nullptr &&
              EVP_MAC_init(context.get(), raw(key), key.size(), parameters.data()) == 1;
  for (const ConstBytes part : parts) {
    good = good && EVP_MAC_update(context.get(), raw(part), part.size()) == 1;
  }
  Mac mac{};
  std::size_t length = 0;
  require(good && EVP_MAC_final(context.get(), raw(std::span<std::byte>(mac)), &length,
                                mac.size()) == 1 &&
              length == mac.size(),
          "compute an HMAC");
  return mac;
}

/// Some builds of OpenSSL leave ciphers out.
void require_cipher(EncMode mode, std::size_t key_bytes) {
  for (const std::string& name :
       {cipher_name(mode, key_bytes), single_block_name(mode, key_bytes)}) {
    const Cipher cipher(EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr));
    if (cipher.get() != nullptr) continue;
    throw Error(ErrorCode::invalid_argument, "enc_mode is " + std::string(to_string(mode)) +
                                                 ", and the OpenSSL here has no " + name);
  }
}

}  // namespace

std::size_t tag_bytes(EncMode mode) noexcept {
  return mode == EncMode::aes_gcm ? kGcmTagBytes : kMacBytes;
}

void check_key(const Key& key, EncMode mode) {
  const std::size_t bytes = key.bytes().size();
  const bool is_aes = mode == EncMode::aes_gcm || mode == EncMode::aes_cbc;
  if (!is_aes && mode != EncMode::sm4_cbc) {
    throw Error(ErrorCode::invalid_argument,
                "enc_mode is the number " + std::to_string(static_cast<int>(mode)) +
                    "; it takes AES-GCM, AES-CBC or SM4-CBC");
  }
  if (bytes == 16 || (is_aes && (bytes == 24 || bytes == 32))) {
    require_cipher(mode, bytes);
    return;
  }
  throw Error(ErrorCode::invalid_argument,
              "enc_key has " + std::to_string(bytes) + " bytes; enc_mode " +
                  std::string(to_string(mode)) + " takes " + (is_aes ? "16, 24 or 32" : "16"));
}

bool same_bytes(ConstBytes a, ConstBytes b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Digest fingerprint(const Key& key) {
  if (key.empty()) return {};
  constexpr std::string_view kPurpose = "cairn: is it the same key on all ranks?";
  return secret_hmac(key.bytes(), {std::as_bytes(std::span(kPurpose))});
}

Seal::Seal(const Key& key, EncMode mode, const FileId& id, GcmBy by)
    : mode_(mode), key_bytes_(key.bytes().size()) {
  check_key(key, mode);
  struct Purpose {
    const char* name;
    std::size_t bytes;
  };
  const std::array purposes{Purpose{"block", key_bytes_}, Purpose{"iv", key_bytes_},
                            Purpose{"mac", kMacBytes}, Purpose{"header", kMacBytes},
                            Purpose{"table", kMacBytes}};
  const Key pseudorandom = hkdf_extract(id, key.bytes());
  keys_ = Key::with_bytes(2 * key_bytes_ + 3 * kMacBytes, [&](std::span<std::byte> all) {
    for (const Purpose& purpose : purposes) {
      const std::string info =
          "cairn 1 " + std::string(to_string(mode)) + " " + std::string(purpose.name);
      hkdf_expand(pseudorandom, std::as_bytes(std::span(info)), all.first(purpose.bytes));
      all = all.subspan(purpose.bytes);
    }
  });
  if (mode == EncMode::aes_gcm && by == GcmBy::fastest && WideGcm::is_there()) {
    wide_.emplace(block_key());
  }
}

Mac Seal::header_mac(ConstBytes header) const {
  return hmac(mac_key(kHeaderMacs), {header});
}

Mac Seal::table_mac(const Digest& header, ConstBytes tags) const {
  return hmac(mac_key(kTableMacs), {header, tags});
}

Seal::Iv Seal::iv_of(std::uint64_t number) const {
  Iv iv{};
  const auto bytes = little_endian(number);
  std::copy(bytes.begin(), bytes.end(), iv.begin());
  if (mode_ != EncMode::aes_gcm) {
    run(start(single_block_name(mode_, key_bytes_), Direction::seal, iv_key(), {}), iv);
  }
  return iv;
}

Mac Seal::cbc_tag(std::uint64_t number, const Digest& header, const Iv& iv,
                  ConstBytes sealed) const {
  return hmac(mac_key(kBlockMacs), {header, little_endian(number), iv, sealed});
}

namespace {

using Context = std::array<std::byte, std::tuple_size_v<Digest> + kCounterBytes>;

/// What says where a block belongs: authenticated with it, and not in it.
Context context_of(const Digest& header, std::uint64_t number) {
  Context context{};
  const auto counted = little_endian(number);
  std::copy(counted.begin(), counted.end(), std::copy(header.begin(), header.end(), context.begin()));
  return context;
}

void authenticate(const CipherContext& cipher, ConstBytes context) {
  int done = 0;
  require(EVP_CipherUpdate(cipher.get(), nullptr, &done, raw(context),
                           length_of(context)) == 1,
          "authenticate a block's place");
}

}  // namespace

void Seal::seal(std::uint64_t number, const Digest& header, std::span<std::byte> bytes,
                std::span<std::byte> tag, const Fetch& fetch) const {
  const Iv iv = iv_of(number);
  if (mode_ == EncMode::aes_gcm) {
    const std::span<const std::byte, kNonceBytes> nonce(iv.data(), kNonceBytes);
    const Context context = context_of(header, number);
    wide_ ? wide_->seal({nonce, context}, bytes, tag, fetch)
          : gcm_seal(nonce, context, bytes, tag, fetch);
    return;
  }
  run(start(cipher_name(mode_, key_bytes_), Direction::seal, block_key(), iv), bytes, fetch);
  const Mac mac = cbc_tag(number, header, iv, bytes);
  std::copy(mac.begin(), mac.end(), tag.begin());
}

bool Seal::open(std::uint64_t number, const Digest& header, std::span<std::byte> bytes,
                ConstBytes tag) const {
  if (tag.size() != tag_bytes(mode_) || bytes.size() % kCipherBlock != 0) return false;
  const Iv iv = iv_of(number);
  if (mode_ == EncMode::aes_gcm) {
    const std::span<const std::byte, kNonceBytes> nonce(iv.data(), kNonceBytes);
    const Context context = context_of(header, number);
    return wide_ ? wide_->open({nonce, context}, bytes, tag)
                 : gcm_open(nonce, context, bytes, tag);
  }
  if (!same_bytes(cbc_tag(number, header, iv, bytes), tag)) return false;
  run(start(cipher_name(mode_, key_bytes_), Direction::open, block_key(), iv), bytes);
  return true;
}

void Seal::gcm_seal(ConstBytes nonce, ConstBytes context, std::span<std::byte> bytes,
                    std::span<std::byte> tag, const Fetch& fetch) const {
  const auto cipher = start(cipher_name(mode_, key_bytes_), Direction::seal, block_key(), nonce);
  authenticate(cipher, context);
  run(cipher, bytes, fetch);
  int done = 0;
  std::array<unsigned char, kCipherBlock> rest{};
  require(EVP_CipherFinal_ex(cipher.get(), rest.data(), &done) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG,
                                  static_cast<int>(kGcmTagBytes), tag.data()) == 1,
          "seal a block");
}

bool Seal::gcm_open(ConstBytes nonce, ConstBytes context, std::span<std::byte> bytes,
                    ConstBytes tag) const {
  const auto cipher = start(cipher_name(mode_, key_bytes_), Direction::open, block_key(), nonce);
  std::array<std::byte, kGcmTagBytes> expected{};
  std::copy(tag.begin(), tag.end(), expected.begin());
  require(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG,
                              static_cast<int>(kGcmTagBytes), expected.data()) == 1,
          "set a tag");
  authenticate(cipher, context);
  run(cipher, bytes);
  int done = 0;
  std::array<unsigned char, kCipherBlock> rest{};
  return EVP_CipherFinal_ex(cipher.get(), rest.data(), &done) == 1;
}

}  // namespace cairn::codec
