#include "storage/record.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

#include "base/wire.hpp"
#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/page_fields.hpp"
#include "storage/record_fields.hpp"

namespace cairn::storage {
namespace {

// Where the record tells whose checkpoint it is: from `step` to `series`, and the members of a chain.
constexpr std::size_t kIdentityBegin = 88;
constexpr std::size_t kIdentityEnd = 408;
constexpr std::size_t kKindOffset = 984;
constexpr std::size_t kChainBegin = 989;
constexpr std::size_t kChainEnd = 1297;

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

}  // namespace

void check_kind(std::uint8_t kind, const std::string& where) {
  if (kind <= static_cast<std::uint8_t>(CheckpointKind::breakpoint)) return;
  throw Error(ErrorCode::mismatch, where + " is a checkpoint of kind " + std::to_string(kind) +
                                       ", which this reader does not know");
}

void check_features(const std::string& required, const std::string& where) {
  std::istringstream words(required);
  for (std::string word; words >> word;) {
    if (word == kMapFeature || word == kIncrementFeature || word == kLoneShardFeature) continue;
    throw Error(ErrorCode::mismatch,
                where + " needs the feature '" + word + "', which this reader does not know");
  }
}

void check_sequence(std::uint64_t sequence, const std::string& where) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62U;
  if (sequence < kLargest) return;
  throw Error(ErrorCode::damaged, where + ": the sequence number is " + std::to_string(sequence) +
                                      ", expected less than " + std::to_string(kLargest));
}

void check_chain(const Identity& identity, const std::string& where) {
  constexpr std::uint32_t kMost = 1U << 20U;
  const Chain& chain = identity.chain;
  if (!chain.is_increment()) return;
  const bool good = chain.position <= kMost && chain.base < identity.sequence &&
                    !chain.parent.empty() && chain.parent.front() != '/';
  if (good) return;
  throw Error(ErrorCode::damaged,
              where + ": by its record it is increment " + std::to_string(chain.position) + " on " +
                  std::to_string(chain.base) + " with sequence number " +
                  std::to_string(identity.sequence) + " after \"" + chain.parent +
                  "\", expected at most " + std::to_string(kMost) +
                  " increments after an older one at a relative path");
}

bool has_word(std::string_view words, std::string_view word) noexcept {
  std::size_t begin = 0;
  while (begin < words.size()) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    if (words.substr(begin, end - begin) == word) return true;
    begin = end + 1;
  }
  return false;
}

std::uint16_t minor_for(std::string_view required_features) noexcept {
  return has_word(required_features, kMapFeature) ? kMinorWithMaps : kMinorWithoutMaps;
}

bool Record::has_crc() const noexcept { return has_word(optional_features, kCrcFeature); }

bool Record::has_maps() const noexcept { return has_word(required_features, kMapFeature); }

codec::Digest digest_of(const Identity& identity) {
  Record record;
  static_cast<Identity&>(record) = identity;
  const RecordBytes bytes = encode_record(record);
  const std::span<const std::byte> all(bytes);
  Bytes told;
  const auto add = [&](std::size_t begin, std::size_t end) {
    const auto part = all.subspan(begin, end - begin);
    told.insert(told.end(), part.begin(), part.end());
  };
  add(kIdentityBegin, kIdentityEnd);
  add(kKindOffset, kKindOffset + 1);
  add(kChainBegin, kChainEnd);
  return codec::sha256(told);
}

RecordBytes encode_record(const Record& record) {
  RecordPage page;
  page.format_minor = minor_for(record.required_features);
  page.saved_at = record.saved_at.time_since_epoch().count();
  page.kind = static_cast<std::uint8_t>(record.kind);
  page.record = record;
  RecordBytes bytes{};
  PageEncoder encoder(bytes, "the record");
  visit_fields(std::as_const(page), encoder);
  visit_chain_fields(std::as_const(page), encoder);
  const std::span<std::byte> all(bytes);
  store_little_endian(all.subspan(kRecordCrcOffset), codec::crc32(all.first(kRecordCrcOffset)));
  return bytes;
}

Record decode_record(std::span<const std::byte, kRecordBytes> bytes, const std::string& where) {
  check_magic(bytes, where);
  check_crc(bytes, where);
  RecordPage page;
  PageDecoder decoder(bytes);
  visit_fields(page, decoder);
  visit_chain_fields(page, decoder);
  check_version(page, where);
  check_kind(page.kind, where);
  check_features(page.record.required_features, where);
  check_sequence(page.record.sequence, where);
  page.record.saved_at = Time(std::chrono::nanoseconds(page.saved_at));
  page.record.kind = static_cast<CheckpointKind>(page.kind);
  check_chain(page.record, where);
  return page.record;
}

}  // namespace cairn::storage
