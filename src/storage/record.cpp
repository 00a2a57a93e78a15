#include "storage/record.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/page_fields.hpp"
#include "storage/record_fields.hpp"

namespace cairn::storage {
namespace {

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
    if (word == kLoneShardFeature) continue;
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

bool Record::has_crc() const noexcept {
  const std::string_view words = optional_features;
  std::size_t begin = 0;
  while (begin < words.size()) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    if (words.substr(begin, end - begin) == kCrcFeature) return true;
    begin = end + 1;
  }
  return false;
}

RecordBytes encode_record(const Record& record) {
  RecordPage page;
  page.saved_at = record.saved_at.time_since_epoch().count();
  page.kind = static_cast<std::uint8_t>(record.kind);
  page.record = record;
  RecordBytes bytes{};
  PageEncoder encoder(bytes, "the record");
  visit_fields(std::as_const(page), encoder);
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
  check_version(page, where);
  check_kind(page.kind, where);
  check_features(page.record.required_features, where);
  check_sequence(page.record.sequence, where);
  page.record.saved_at = Time(std::chrono::nanoseconds(page.saved_at));
  page.record.kind = static_cast<CheckpointKind>(page.kind);
  return page.record;
}

}  // namespace cairn::storage
