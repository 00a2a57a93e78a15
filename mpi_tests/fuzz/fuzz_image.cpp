// A whole image, as a file in memory. Input: a flag byte, the begin of the record page, then the
// begin of the file; zeros fill the rest. The magic and, where the flags say so (1 head, 2 tail),
// the CRCs are repaired; the record's always is. With the flag 4 the blocks have CRCs.
#include <sys/mman.h>

#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "fuzz/maps.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"
#include "storage/record_fields.hpp"

using namespace cairn;
using namespace cairn::storage;

namespace {

constexpr std::size_t kPageBytes = 1297;  // what is used of it
constexpr std::uint64_t kLargestFile = std::uint64_t{256} << 10;
// docs/format.md has these places.
constexpr std::size_t kTailCrcAt = 84;
constexpr std::size_t kOptionalFeaturesAt = 728;
constexpr std::size_t kBlocksCrcAt = 985;

std::uint64_t at(const RecordBytes& page, std::size_t place) {
  return load_little_endian<std::uint64_t>(std::span(page).subspan(place));
}

/// Names the feature, and makes the CRC of the whole of what the table says.
void claim_crcs(std::span<std::byte> page, std::span<const std::byte> table) {
  const auto block = load_little_endian<std::uint64_t>(page.subspan(24)) % kLargestImage;
  std::uint32_t whole = 0;
  for (std::size_t at = 0; at + kTableEntryBytes <= table.size(); at += kTableEntryBytes) {
    whole = codec::combine_crc32(whole, load_little_endian<std::uint32_t>(table.subspan(at)),
                                 block);
  }
  std::memcpy(page.data() + kOptionalFeaturesAt, kCrcFeature.data(), kCrcFeature.size() + 1);
  store_little_endian(page.subspan(kBlocksCrcAt), whole);
}

void repair(RecordBytes& page, std::span<const std::byte> file, unsigned flags) {
  const std::span<std::byte> all(page);
  const auto head = file.first(std::min<std::uint64_t>(at(page, 32), file.size()));
  const auto tail = file.subspan(std::min<std::uint64_t>(at(page, 40), file.size()));
  if ((flags & 4U) != 0) claim_crcs(all, tail);
  if ((flags & 1U) != 0) store_little_endian(all.subspan(80), codec::crc32(head));
  if ((flags & 2U) != 0) store_little_endian(all.subspan(kTailCrcAt), codec::crc32(tail));
  std::memcpy(page.data(), kRecordMagic.data(), kRecordMagic.size());
  store_little_endian(all.subspan(kRecordCrcOffset), codec::crc32(all.first(kRecordCrcOffset)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned flags = input.number<std::uint8_t>();
  RecordBytes page{};
  std::ranges::copy(input.take(kPageBytes), page.begin());
  const std::uint64_t length = std::clamp<std::uint64_t>(at(page, 16), kRecordBytes, kLargestFile);
  std::vector<std::byte> bytes(length - kRecordBytes);
  std::ranges::copy(input.take(bytes.size()), bytes.begin());
  repair(page, bytes, flags);
  const Descriptor memory(::memfd_create("fuzz", MFD_CLOEXEC));
  const auto file = PosixFile::open_for_writing("/proc/self/fd/" + std::to_string(memory.get()));
  file.write(bytes, 0);
  file.write(page, bytes.size());
  fuzz::accepts([&] {
    const ImageIndex index = read_index(ImageFile(PosixFile::open_for_reading(file.path())));
    fuzz::read_maps(std::vector<TensorInfo>(index.tensors.begin(), index.tensors.end()));
  });
  return 0;
}
