#include "cairn/key.hpp"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <string>

#include "cairn/error.hpp"

namespace cairn {
namespace {

constexpr std::array kModes{EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc};
constexpr std::size_t kPageBytes = 4096;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::string_view to_string(EncMode mode) noexcept {
  switch (mode) {
    case EncMode::aes_gcm: return "AES-GCM";
    case EncMode::aes_cbc: return "AES-CBC";
    case EncMode::sm4_cbc: return "SM4-CBC";
  }
  return "?";
}

EncMode enc_mode_named(std::string_view name) {
  for (const EncMode mode : kModes) {
    if (to_string(mode) == name) return mode;
  }
  throw Error(ErrorCode::invalid_argument,
              "enc_mode is '" + std::string(name) + "', expected AES-GCM, AES-CBC or SM4-CBC");
}

/// A page of memory: what is locked or left out of dumps is whole pages.
class Key::Page {
 public:
  explicit Page(std::size_t bytes) : used_(bytes) {
    void* page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    if (page == MAP_FAILED) throw Error(ErrorCode::io, "no memory for a key");
    data_ = static_cast<std::byte*>(page);
    if (::madvise(data_, kPageBytes, MADV_DONTDUMP) != 0) {
      ::munmap(data_, kPageBytes);
      throw Error(ErrorCode::io, "the system does not keep a key out of core dumps");
    }
    static_cast<void>(::mlock(data_, kPageBytes));  // the limit of locked memory may be 0
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() {
    OPENSSL_cleanse(data_, kPageBytes);
    ::munmap(data_, kPageBytes);
  }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, used_}; }

 private:
  std::byte* data_;
  std::size_t used_;
};

Key Key::with_bytes(std::size_t count, const std::function<void(std::span<std::byte>)>& fill) {
  if (count > kPageBytes) {
    throw Error(ErrorCode::invalid_argument,
                "a key of " + std::to_string(count) + " bytes: at most 4096 are taken");
  }
  Key key;
  if (count == 0) return key;
  key.page_ = std::make_shared<Page>(count);
  fill(key.page_->bytes());
  return key;
}

Key::Key(std::span<const std::byte> bytes)
    : Key(with_bytes(bytes.size(), [&](std::span<std::byte> page) {
        std::memcpy(page.data(), bytes.data(), bytes.size());
      })) {}

Key Key::from_hex(std::string_view digits) {
  digits = trimmed(digits);
  if (digits.size() % 2 != 0) {
    throw Error(ErrorCode::invalid_argument, "a key in hexadecimal has two digits a byte; got " +
                                                 std::to_string(digits.size()) + " digits");
  }
  return with_bytes(digits.size() / 2, [&](std::span<std::byte> page) {
    for (std::size_t i = 0; i < page.size(); ++i) {
      const int high = digit_of(digits[2 * i]);
      const int low = digit_of(digits[2 * i + 1]);
      if (high < 0 || low < 0) {
        throw Error(ErrorCode::invalid_argument,
                    "a key in hexadecimal has another character among digits " +
                        std::to_string(2 * i) + " and " + std::to_string(2 * i + 1));
      }
      page[i] = static_cast<std::byte>(high * 16 + low);
    }
  });
}

std::span<const std::byte> Key::bytes() const noexcept {
  return empty() ? std::span<const std::byte>() : page_->bytes();
}

bool operator==(const Key& a, const Key& b) noexcept {
  const auto left = a.bytes();
  const auto right = b.bytes();
  if (left.size() != right.size()) return false;
  return left.empty() || CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace cairn
