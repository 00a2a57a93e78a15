#include <algorithm>

#include "codec/crc32.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"

namespace cairn::storage {
namespace {

void fill_in_places(const ImageLayout& layout, Record& record) {
  record.image_bytes = layout.image_bytes;
  record.block_bytes = layout.block_bytes;
  record.head_bytes = layout.head_bytes;
  record.tail_offset = layout.tail_offset;
  record.table_offset = layout.table_offset;
  record.table_entries = layout.table_entries;
  record.tensor_count = layout.offsets.size();
  record.value_bytes = layout.value_bytes;
  record.head_crc = layout.head_crc;
}

}  // namespace

std::vector<std::byte> make_tail(const ImageLayout& layout, Record record) {
  std::vector<std::byte> tail(layout.image_bytes - layout.tail_offset);
  // All zeros: blocks stored as they are, without a CRC.
  const auto table = std::span(tail).first(layout.table_entries * kTableEntryBytes);
  fill_in_places(layout, record);
  record.writer = "cairn " CAIRN_VERSION;
  record.tail_crc = codec::crc32(table);
  std::ranges::copy(encode_record(record),
                    tail.begin() + static_cast<std::ptrdiff_t>(table.size()));
  return tail;
}

}  // namespace cairn::storage
