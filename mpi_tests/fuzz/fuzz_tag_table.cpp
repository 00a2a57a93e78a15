// A sealed file whose header is right, read with its key. Input: flags, mode, bytes of the image, how
// the file's length differs, then the image's end (record and what lies before it) and the tags. Flags:
// 1 seals the blocks as they should be, 2 repairs the table's CRC, 4 its MAC.
#include <sys/mman.h>

#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"

using namespace cairn;
using namespace cairn::storage;

namespace {

/// What of the file surrounds or follows the blocks.
struct Sealed {
  Sealed(EncMode mode, std::uint64_t image_bytes, bool aligned) : header{} {
    header.mode = mode;
    if (aligned) header.blocks_begin = kSmallestBlock;
    header.image_bytes = image_bytes;
    header.block_bytes = kSmallestBlock;
  }
  SealedHeader header;
};

const Key& key() {
  static const Key key(std::vector<std::byte>(16, std::byte{7}));
  return key;
}

Bytes make_file(const Sealed& sealed, fuzz::Input& input, unsigned flags) {
  const SealedPlaces places(sealed.header);
  const codec::Seal seal(key(), sealed.header.mode, sealed.header.file_id);
  const HeaderPage page = encode_header(sealed.header, seal);
  const codec::Digest digest = codec::sha256(page);
  Bytes file(places.file_bytes);
  const std::span<std::byte> all(file);
  std::ranges::copy(page, all.begin());
  const auto image = all.subspan(places.blocks_begin, sealed.header.image_bytes);
  const auto end = input.take(std::min<std::size_t>(image.size(), 2 * kRecordBytes));
  std::ranges::copy(end, image.last(end.size()).begin());
  const auto table = all.subspan(places.tag_offset);
  std::ranges::copy(input.take(table.size()), table.begin());
  const std::size_t tag = codec::tag_bytes(sealed.header.mode);
  for (std::uint64_t k = 0; (flags & 1U) != 0 && k < places.blocks; ++k) {
    const auto block = all.subspan(places.offset_of(k * kSmallestBlock),
                                   sealed_block_bytes(sealed.header, k));
    seal.seal(k, digest, block, table.subspan(k * tag, tag));
  }
  const auto tags = table.first(places.tags_bytes);
  if ((flags & 4U) != 0) {
    std::ranges::copy(seal.table_mac(digest, tags), table.subspan(tags.size()).begin());
  }
  const auto summed = table.first(table.size() - 4);
  if ((flags & 2U) != 0) store_little_endian(table.last(4), codec::crc32(summed));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned flags = input.number<std::uint8_t>();
  const auto mode = static_cast<EncMode>(1 + input.number<std::uint8_t>() % 3);
  const std::uint64_t most = 3 * kSmallestBlock;
  const std::uint64_t image = kSmallestImage + input.number<std::uint32_t>() % most;
  const int longer = input.number<std::int8_t>();
  Bytes bytes = make_file({mode, image, (flags & 16U) != 0}, input, flags);
  if ((flags & 8U) != 0) bytes.resize(static_cast<std::size_t>(static_cast<int>(bytes.size()) + longer));
  const Descriptor memory(::memfd_create("fuzz", MFD_CLOEXEC));
  const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
  PosixFile::open_for_writing(path).write(bytes, 0);
  fuzz::accepts([&] {
    const ImageFile file = ImageFile::open(path, {.enc_key = key()});
    fuzz::accepts([&] { (void)read_index(file); });
    Bytes all(file.size());
    file.read(all, 0);
  });
  return 0;
}
