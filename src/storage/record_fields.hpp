#pragma once

#include <string_view>

#include "storage/record.hpp"

namespace cairn::storage {

inline constexpr std::string_view kRecordMagic = "CAIRNREC";

/// The CRC-32 of all bytes before it: the last member, in this place in every version.
inline constexpr std::size_t kRecordCrcOffset = kRecordBytes - 4;

/// A record with what surrounds it, as numbers, texts and bytes.
struct RecordPage {
  std::string magic{kRecordMagic};
  std::uint16_t format_major = kFormatMajor;
  std::uint16_t format_minor = kFormatMinor;
  std::uint32_t record_bytes = kRecordBytes;
  std::int64_t saved_at = 0;  // nanoseconds since 1970
  std::uint8_t kind = 0;
  Record record;
};

/// The members of `/.cairn/record`, packed in this order from offset 0 on; zeros follow up to the
/// CRC. The one list that encoding, decoding and the HDF5 type are made from.
/// `visit` has number(name, integer), text(name, string, bytes) and bytes(name, array).
/// A new member goes to the end of the second list. `Page` is `RecordPage` or `const RecordPage`.
template <class Page, class Visitor>
void visit_fields(Page& page, Visitor& visit) {
  auto& record = page.record;
  visit.text("magic", page.magic, kRecordMagic.size());
  visit.number("format_major", page.format_major);
  visit.number("format_minor", page.format_minor);
  visit.number("record_bytes", page.record_bytes);
  visit.number("image_bytes", record.image_bytes);
  visit.number("block_bytes", record.block_bytes);
  visit.number("head_bytes", record.head_bytes);
  visit.number("tail_offset", record.tail_offset);
  visit.number("table_offset", record.table_offset);
  visit.number("table_entries", record.table_entries);
  visit.number("tensor_count", record.tensor_count);
  visit.number("value_bytes", record.value_bytes);
  visit.number("head_crc", record.head_crc);
  visit.number("tail_crc", record.tail_crc);
  visit.number("step", record.step);
  visit.number("epoch", record.epoch);
  visit.number("step_in_epoch", record.step_in_epoch);
  visit.number("steps_per_epoch", record.steps_per_epoch);
  visit.number("sequence", record.sequence);
  visit.number("saved_at", page.saved_at);
  visit.bytes("run_id", record.run_id);
  visit.text("series", record.series, 256);
  visit.text("writer", record.writer, 64);
  visit.text("required_features", record.required_features, 256);
  visit.text("optional_features", record.optional_features, 256);
  visit.number("kind", page.kind);
  visit.number("blocks_crc", record.blocks_crc);
}

/// The members behind those. Every record has their bytes; the HDF5 type names them where there are
/// MapParameters: so that of a checkpoint without is what it was before there were any.
template <class Page, class Visitor>
void visit_chain_fields(Page& page, Visitor& visit) {
  auto& chain = page.record.chain;
  visit.number("base", chain.base);
  visit.number("position", chain.position);
  visit.number("map_bytes", chain.map_bytes);
  visit.text("parent", chain.parent, 256);
  visit.bytes("parent_digest", chain.parent_digest);
}

}  // namespace cairn::storage
