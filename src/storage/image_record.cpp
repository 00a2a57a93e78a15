#include <bit>

#include "cairn/error.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"

namespace cairn::storage {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(ErrorCode::damaged, where + ": " + message);
}

void check_length(std::uint64_t file_bytes, const std::string& where) {
  if (file_bytes >= kSmallestImage) return;
  refuse(where, "not a Cairn checkpoint, or cut short: it has " + std::to_string(file_bytes) +
                    " bytes, the smallest one has " + std::to_string(kSmallestImage));
}

void check_image_bytes(const Record& record, std::uint64_t file_bytes, const std::string& where) {
  if (record.image_bytes == file_bytes) return;
  refuse(where, "cut short or extended: it has " + std::to_string(file_bytes) +
                    " bytes, its record says " + std::to_string(record.image_bytes));
}

/// A number that the record gives, and what must hold for it.
void check_number(const char* name, std::uint64_t value, bool good, const std::string& expected,
                  const std::string& where) {
  if (good) return;
  refuse(where, std::string("the record's ") + name + " is " + std::to_string(value) +
                    ", expected " + expected);
}

/// No sum or product here can overflow: `image_bytes` is a file's length, and each number is
/// bounded by the ones checked before it.
void check_places(const Record& r, const std::string& where) {
  const std::uint64_t block = r.block_bytes;
  check_number("block_bytes", block,
               std::has_single_bit(block) && block >= kSmallestBlock && block <= kLargestBlock,
               "a power of two from 64 KiB to 1 GiB", where);
  check_number("tail_offset", r.tail_offset,
               r.tail_offset < r.image_bytes && r.tail_offset % block == 0,
               "a multiple of the block size below the image's end", where);
  check_number("head_bytes", r.head_bytes,
               r.head_bytes > 0 && r.head_bytes <= r.tail_offset && r.head_bytes <= kLargestHead &&
                   r.head_bytes % block == 0,
               "a multiple of the block size up to the tail's offset and 1 GiB", where);
  check_number("table_offset", r.table_offset, r.table_offset == r.tail_offset,
               "the tail's offset " + std::to_string(r.tail_offset), where);
  check_number("table_entries", r.table_entries,
               r.table_entries == r.tail_offset / block &&
                   r.table_entries <= kLargestTable / kTableEntryBytes,
               "one per block, " + std::to_string(r.tail_offset / block), where);
  const std::uint64_t end = r.tail_offset + r.table_entries * kTableEntryBytes + kRecordBytes;
  check_number("image_bytes", r.image_bytes, r.image_bytes == end,
               "the record's end " + std::to_string(end), where);
  check_number("value_bytes", r.value_bytes, r.value_bytes <= r.tail_offset - r.head_bytes,
               "no more than the body's " + std::to_string(r.tail_offset - r.head_bytes), where);
}

}  // namespace

Record read_record(const ImageFile& file) {
  const std::string where = file.path().string();
  const std::uint64_t file_bytes = file.size();
  check_length(file_bytes, where);
  RecordBytes bytes{};
  file.read(bytes, file_bytes - kRecordBytes);
  Record record = decode_record(bytes, where);
  check_image_bytes(record, file_bytes, where);
  check_places(record, where);
  return record;
}

}  // namespace cairn::storage
