// The record page. Input: a flag byte, then the page. Flags: 1 repairs the magic, 2 the CRC.
#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "storage/little_endian.hpp"
#include "storage/record.hpp"
#include "storage/record_fields.hpp"

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned flags = input.number<std::uint8_t>();
  storage::RecordBytes page{};
  std::ranges::copy(input.take(page.size()), page.begin());
  if ((flags & 1U) != 0) {
    std::memcpy(page.data(), storage::kRecordMagic.data(), storage::kRecordMagic.size());
  }
  if ((flags & 2U) != 0) {
    const std::span<std::byte> all(page);
    storage::store_little_endian(all.subspan(storage::kRecordCrcOffset),
                                 codec::crc32(all.first(storage::kRecordCrcOffset)));
  }
  fuzz::accepts([&] {
    const storage::Record record = storage::decode_record(page, "fuzz");
    const auto again = storage::decode_record(storage::encode_record(record), "again");
    fuzz::require(again == record);
  });
  return 0;
}
