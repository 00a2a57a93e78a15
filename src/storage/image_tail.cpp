#include <algorithm>

#include "codec/crc32.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"

namespace cairn::storage {
namespace {

void fill_in_places(const ImageLayout& layout, Record& record) {
  record.image_bytes = layout.image_bytes;
  record.block_bytes = layout.block_bytes;
  record.head_bytes = layout.head_bytes;
  record.tail_offset = layout.tail_offset;
  record.table_offset = layout.table_offset;
  record.table_entries = layout.table_entries;
  record.tensor_count = layout.tensor_count;
  record.value_bytes = layout.value_bytes;
  record.head_crc = layout.head_crc;
}

}  // namespace

std::vector<std::byte> make_tail(const ImageLayout& layout, Record record,
                                 std::span<const std::uint32_t> crcs) {
  std::vector<std::byte> tail(layout.image_bytes - layout.tail_offset);
  // Zeros: blocks stored as they are.
  const auto table = std::span(tail).first(layout.table_entries * kTableEntryBytes);
  for (std::size_t i = 0; i < crcs.size(); ++i) {
    store_little_endian(table.subspan(i * kTableEntryBytes), crcs[i]);
    record.blocks_crc = codec::combine_crc32(record.blocks_crc, crcs[i], layout.block_bytes);
  }
  if (!crcs.empty()) {
    if (!record.optional_features.empty()) record.optional_features += ' ';
    record.optional_features += kCrcFeature;
  }
  fill_in_places(layout, record);
  record.writer = "cairn " CAIRN_VERSION;
  record.tail_crc = codec::crc32(table);
  std::ranges::copy(encode_record(record),
                    tail.begin() + static_cast<std::ptrdiff_t>(table.size()));
  return tail;
}

}  // namespace cairn::storage
