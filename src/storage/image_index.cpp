// Reading an index. The bytes may come from anybody, with every CRC in order; so nothing in them is
// believed that was not checked, and the HDF5 library never sees them:
//
// 1. Head and tail have the CRCs that the record gives.
// 2. A copy of the head, in memory, is parsed (head_reader): no byte can change meanwhile.
// 3. A dataset is a tensor if it is contiguous, of a known type and inside the body.
// 4. Together they overlap nowhere and are as many, with as many bytes, as the record says.
#include <algorithm>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/aligned_buffer.hpp"
#include "storage/head_reader.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"

namespace cairn::storage {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::damaged, message);
}

void check_crc(const char* part, std::span<const std::byte> bytes, std::uint32_t expected) {
  const std::uint32_t found = codec::crc32(bytes);
  if (found == expected) return;
  refuse(std::string("the ") + part + "'s CRC is " + std::to_string(found) + ", expected " +
         std::to_string(expected));
}

void read_checked(const ImageFile& file, const char* part, std::uint64_t offset,
                  std::span<std::byte> bytes, std::uint32_t crc) {
  file.read(bytes, offset);
  check_crc(part, bytes, crc);
}

/// Bytes of a tensor whose size is known to fit.
std::uint64_t bytes_of(const TensorInfo& tensor) {
  return element_count(tensor.shape) * size_of(tensor.dtype);
}

void check_names(const std::vector<PlacedTensor>& sorted) {
  const auto twice = std::ranges::adjacent_find(sorted, {}, &PlacedTensor::key);
  if (twice != sorted.end()) refuse(label(*twice) + " is there twice");
}

void check_overlap(const std::vector<PlacedTensor>& tensors) {
  std::vector<const PlacedTensor*> placed;
  for (const PlacedTensor& tensor : tensors) {
    if (tensor.offset != kNoOffset) placed.push_back(&tensor);
  }
  std::ranges::sort(placed, {}, [](const PlacedTensor* t) { return t->offset; });
  for (std::size_t i = 1; i < placed.size(); ++i) {
    const PlacedTensor& before = *placed[i - 1];
    if (before.offset + bytes_of(before) <= placed[i]->offset) continue;
    refuse(label(before) + " and " + label(*placed[i]) + " overlap at offset " +
           std::to_string(placed[i]->offset));
  }
}

void check_totals(const std::vector<PlacedTensor>& tensors, const Record& record) {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;  // no overflow: they lie in the body without overlap
  for (const PlacedTensor& tensor : tensors) {
    if (tensor.family != Family::parameter) continue;
    ++count;
    bytes += bytes_of(tensor);
  }
  if (count != record.tensor_count || bytes != record.value_bytes) {
    refuse("it holds " + std::to_string(count) + " tensors of " + std::to_string(bytes) +
           " bytes, its record says " + std::to_string(record.tensor_count) + " of " +
           std::to_string(record.value_bytes));
  }
}

std::vector<PlacedTensor> read_tensors(const ImageFile& file, const Record& record) {
  // Whole blocks, of which a vector would clear each page first.
  const AlignedBuffer head(record.head_bytes);
  read_checked(file, "head", 0, head.bytes(), record.head_crc);
  std::vector<PlacedTensor> tensors = read_head(head.bytes(), record);
  std::ranges::sort(tensors, {}, &PlacedTensor::key);
  check_names(tensors);
  check_overlap(tensors);
  check_totals(tensors, record);
  return tensors;
}

}  // namespace

std::vector<std::uint32_t> read_crcs(const ImageFile& file, const Record& record) {
  Bytes table(record.table_entries * kTableEntryBytes);
  read_checked(file, "tail", record.tail_offset, table, record.tail_crc);
  std::vector<std::uint32_t> crcs;
  if (!record.has_crc()) return crcs;
  std::uint32_t whole = 0;
  for (std::uint64_t i = 0; i < record.table_entries; ++i) {
    crcs.push_back(load_little_endian<std::uint32_t>(
        std::span<const std::byte>(table).subspan(i * kTableEntryBytes)));
    whole = codec::combine_crc32(whole, crcs.back(), record.block_bytes);
  }
  if (whole != record.blocks_crc) {
    refuse("the CRCs of its blocks make " + std::to_string(whole) + " together, the record says " +
           std::to_string(record.blocks_crc));
  }
  return crcs;
}

ImageIndex read_index(const ImageFile& file) {
  ImageIndex index{.record = read_record(file), .tensors = {}, .crcs = {}};
  try {
    index.crcs = read_crcs(file, index.record);
    index.tensors = read_tensors(file, index.record);
  } catch (const Error& error) {
    throw Error(error.code(), file.path().string() + ": " + error.what());
  }
  return index;
}

}  // namespace cairn::storage
