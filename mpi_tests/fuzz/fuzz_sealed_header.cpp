// The header of a sealed file, as it is read without a key. Input: a flag byte, then the page. Flags:
// 1 repairs the magic, 2 the CRC.
#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "storage/little_endian.hpp"
#include "storage/sealed_header.hpp"

using namespace cairn;
using namespace cairn::storage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned flags = input.number<std::uint8_t>();
  HeaderPage page{};
  std::ranges::copy(input.take(page.size()), page.begin());
  const std::span<std::byte> all(page);
  constexpr std::size_t kCrcAt = 4092;  // docs/format.md has these places
  if ((flags & 1U) != 0) std::memcpy(page.data(), "CAIRNENC", 8);
  if ((flags & 2U) != 0) store_little_endian(all.subspan(kCrcAt), codec::crc32(all.first(kCrcAt)));
  fuzz::accepts([&] {
    const SealedHeader header = decode_header(page, "fuzz");
    const SealedPlaces places(header);
    fuzz::require(places.blocks > 0 && places.tag_offset < places.file_bytes);
    fuzz::require(sealed_block_bytes(header, places.blocks - 1) > 0);
    static const Key key(std::vector<std::byte>(16, std::byte{7}));
    const codec::Seal seal(key, header.mode, header.file_id);
    fuzz::require(decode_header(encode_header(header, seal), "again") == header);
  });
  return 0;
}
