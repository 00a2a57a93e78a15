#include "storage/record.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/little_endian.hpp"
#include "storage/record_fields.hpp"

namespace cairn::storage {
namespace {

/// The required features that this reader knows: none so far.
constexpr std::array<std::string_view, 0> kKnownFeatures{};

class Encoder {
 public:
  explicit Encoder(RecordBytes& page) : page_(page) {}

  template <std::integral T>
  void number(const char*, T value) {
    store_little_endian(take(sizeof(T)), value);
  }
  void text(const char* name, const std::string& text, std::size_t bytes) {
    if (text.size() > bytes)
      refuse(name, "is longer than " + std::to_string(bytes) + " bytes", text);
    if (text.find('\0') != std::string::npos) refuse(name, "holds a zero byte", text);
    std::memcpy(take(bytes).data(), text.data(), text.size());
  }
  template <std::size_t N>
  void bytes(const char*, const std::array<std::byte, N>& bytes) {
    std::memcpy(take(N).data(), bytes.data(), N);
  }

 private:
  [[noreturn]] static void refuse(const char* name, const std::string& why,
                                  const std::string& text) {
    throw Error(ErrorCode::invalid_argument,
                std::string("the record's ") + name + " " + why + ": '" + text + "'");
  }
  std::span<std::byte> take(std::size_t count) {
    at_ += count;
    return page_.subspan(at_ - count, count);
  }

  std::span<std::byte> page_;
  std::size_t at_ = 0;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte, kRecordBytes> page) : page_(page) {}

  template <std::integral T>
  void number(const char*, T& value) {
    value = load_little_endian<T>(take(sizeof(T)));
  }
  void text(const char*, std::string& text, std::size_t bytes) {
    const auto raw = take(bytes);
    const auto end = std::ranges::find(raw, std::byte{0});
    text.assign(reinterpret_cast<const char*>(raw.data()),
                static_cast<std::size_t>(end - raw.begin()));
  }
  template <std::size_t N>
  void bytes(const char*, std::array<std::byte, N>& bytes) {
    std::memcpy(bytes.data(), take(N).data(), N);
  }

 private:
  std::span<const std::byte> take(std::size_t count) {
    at_ += count;
    return page_.subspan(at_ - count, count);
  }

  std::span<const std::byte> page_;
  std::size_t at_ = 0;
};

/// The bytes in hexadecimal: what stands where the magic should is seldom printable.
std::string in_hex(std::span<const std::byte> bytes) {
  std::ostringstream out;
  out << std::hex;
  for (const std::byte b : bytes) {
    const auto value = std::to_integer<unsigned>(b);
    out << (value < 16 ? "0" : "") << value;
  }
  return out.str();
}

void check_magic(std::span<const std::byte, kRecordBytes> page, const std::string& where) {
  const auto found = page.first<kRecordMagic.size()>();
  if (std::memcmp(found.data(), kRecordMagic.data(), found.size()) == 0) return;
  throw Error(ErrorCode::damaged,
              where + " is not a Cairn checkpoint, or it was cut short or extended: its last " +
                  std::to_string(kRecordBytes) + " bytes begin with the bytes " + in_hex(found) +
                  ", not with " + std::string(kRecordMagic));
}

void check_crc(std::span<const std::byte, kRecordBytes> page, const std::string& where) {
  const auto stored = load_little_endian<std::uint32_t>(page.subspan(kRecordCrcOffset));
  const std::uint32_t found = codec::crc32(page.first(kRecordCrcOffset));
  if (stored == found) return;
  throw Error(ErrorCode::damaged, where + ": the record's CRC is " + std::to_string(found) +
                                      ", expected " + std::to_string(stored));
}

void check_version(const RecordPage& page, const std::string& where) {
  if (page.format_major == kFormatMajor && page.record_bytes == kRecordBytes) return;
  throw Error(ErrorCode::mismatch,
              where + " has format version " + std::to_string(page.format_major) + "." +
                  std::to_string(page.format_minor) + " with a record of " +
                  std::to_string(page.record_bytes) + " bytes; this reader knows version " +
                  std::to_string(kFormatMajor) + " with " + std::to_string(kRecordBytes));
}

void check_kind(std::uint8_t kind, const std::string& where) {
  if (kind <= static_cast<std::uint8_t>(CheckpointKind::breakpoint)) return;
  throw Error(ErrorCode::mismatch, where + " is a checkpoint of kind " + std::to_string(kind) +
                                       ", which this reader does not know");
}

void check_features(const std::string& required, const std::string& where) {
  std::istringstream words(required);
  for (std::string word; words >> word;) {
    if (std::ranges::find(kKnownFeatures, word) != kKnownFeatures.end()) continue;
    throw Error(ErrorCode::mismatch,
                where + " needs the feature '" + word + "', which this reader does not know");
  }
}

}  // namespace

RecordBytes encode_record(const Record& record) {
  RecordPage page;
  page.saved_at = record.saved_at.time_since_epoch().count();
  page.kind = static_cast<std::uint8_t>(record.kind);
  page.record = record;
  RecordBytes bytes{};
  Encoder encoder(bytes);
  visit_fields(std::as_const(page), encoder);
  const std::span<std::byte> all(bytes);
  store_little_endian(all.subspan(kRecordCrcOffset), codec::crc32(all.first(kRecordCrcOffset)));
  return bytes;
}

Record decode_record(std::span<const std::byte, kRecordBytes> bytes, const std::string& where) {
  check_magic(bytes, where);
  check_crc(bytes, where);
  RecordPage page;
  Decoder decoder(bytes);
  visit_fields(page, decoder);
  check_version(page, where);
  check_kind(page.kind, where);
  check_features(page.record.required_features, where);
  page.record.saved_at = Time(std::chrono::nanoseconds(page.saved_at));
  page.record.kind = static_cast<CheckpointKind>(page.kind);
  return page.record;
}

}  // namespace cairn::storage
