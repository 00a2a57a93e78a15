// Reading an index. The bytes may come from anybody, with every CRC in order; so what HDF5 made of
// them is believed only as far as it was checked:
//
// 1. Head and tail have the CRCs that the record gives.
// 2. HDF5 parses a copy of the head, in memory, as long as the image: no byte can change under it.
// 3. Links are walked by hand: hard ones only, each object once, no deeper than kDeepestGroup.
// 4. A dataset is a tensor if it is contiguous, of a known type and inside the body.
// 5. Together they overlap nowhere and are as many, with as many bytes, as the record says.
#include <algorithm>
#include <unordered_set>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/dataset_names.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/image_walk.hpp"
#include "storage/little_endian.hpp"
#include "storage/scratch_file.hpp"

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

std::vector<std::byte> read_checked(const ImageFile& file, const char* part, std::uint64_t offset,
                                    std::uint64_t count, std::uint32_t crc) {
  std::vector<std::byte> bytes(count);
  file.read(bytes, offset);
  check_crc(part, bytes, crc);
  return bytes;
}

void check_names(const std::vector<PlacedTensor>& sorted) {
  const auto twice = std::ranges::adjacent_find(sorted, {}, &PlacedTensor::name);
  if (twice != sorted.end()) refuse("the tensor '" + twice->name + "' is there twice");
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
    refuse("the tensors '" + before.name + "' and '" + placed[i]->name + "' overlap at offset " +
           std::to_string(placed[i]->offset));
  }
}

void check_totals(const std::vector<PlacedTensor>& tensors, const Record& record) {
  std::uint64_t bytes = 0;  // no overflow: they lie in the body without overlap
  for (const PlacedTensor& tensor : tensors) bytes += bytes_of(tensor);
  if (tensors.size() != record.tensor_count || bytes != record.value_bytes) {
    refuse("it holds " + std::to_string(tensors.size()) + " tensors of " + std::to_string(bytes) +
           " bytes, its record says " + std::to_string(record.tensor_count) + " of " +
           std::to_string(record.value_bytes));
  }
}

/// HDF5 is given bytes in memory: what it cannot do with them is the bytes' fault.
std::vector<PlacedTensor> parse(const ScratchFile& head, const Record& record) {
  try {
    return walk_tensors(head, record);
  } catch (const Error& error) {
    throw Error(error.code() == ErrorCode::io ? ErrorCode::damaged : error.code(), error.what());
  }
}

std::vector<PlacedTensor> read_tensors(const ImageFile& file, const Record& record) {
  const auto head = read_checked(file, "head", 0, record.head_bytes, record.head_crc);
  const ScratchFile copy;
  copy.file().write(head, 0);
  copy.file().truncate(record.image_bytes);
  std::vector<PlacedTensor> tensors = parse(copy, record);
  std::ranges::sort(tensors, {}, &PlacedTensor::name);
  check_names(tensors);
  check_overlap(tensors);
  check_totals(tensors, record);
  return tensors;
}

}  // namespace

std::vector<std::uint32_t> read_crcs(const ImageFile& file, const Record& record) {
  const auto table = read_checked(file, "tail", record.tail_offset,
                                  record.table_entries * kTableEntryBytes, record.tail_crc);
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
