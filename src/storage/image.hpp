#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "storage/image_file.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

/// The structure of an image: a function of the tensors' names, shapes and types and of the bound
/// on the block size, of nothing else.
///
///   head [0, head_bytes)           HDF5's metadata, padded with zeros; whole blocks
///   body [head_bytes, tail_offset) the values; whole blocks, gaps are zeros
///   tail [tail_offset, image_bytes) block table, then the record
struct ImageLayout {
  std::uint64_t block_bytes = 0;
  std::uint64_t head_bytes = 0;
  std::uint64_t tail_offset = 0;
  std::uint64_t table_offset = 0;
  std::uint64_t table_entries = 0;  ///< one per block of head and body
  std::uint64_t image_bytes = 0;
  std::uint64_t value_bytes = 0;   ///< of parameters, which `tensor_count` counts
  std::uint64_t tensor_count = 0;
  /// Of each tensor, in the order given; `kNoOffset` for one without elements.
  std::vector<std::uint64_t> offsets;
  /// The head's bytes and their CRC-32.
  std::vector<std::byte> head;
  std::uint32_t head_crc = 0;
};

/// The block size of an image of that many bytes of values.
std::uint64_t choose_block(std::uint64_t value_bytes, std::uint64_t largest_block);

/// Lays the file out with HDF5. `tensors` are in the order of their keys, each key once.
ImageLayout lay_out(std::span<const TensorInfo> tensors, std::uint64_t largest_block);

/// The same with that very block size: the shards of one checkpoint have one in common.
ImageLayout lay_out_in_blocks(std::span<const TensorInfo> tensors, std::uint64_t block_bytes);

/// The bytes of [tail_offset, image_bytes). `record` says what the checkpoint is of; where things
/// lie is filled in from `layout`. `crcs`: of every block of head and body, or none.
std::vector<std::byte> make_tail(const ImageLayout& layout, Record record,
                                 std::span<const std::uint32_t> crcs = {});

/// What an image holds: its record, its tensors in the order of their keys, and with
/// `Record::has_crc` the CRC of every block of head and body.
struct ImageIndex {
  Record record;
  std::vector<PlacedTensor> tensors;
  std::vector<std::uint32_t> crcs;
};

/// Reads and checks the record alone. Throws `damaged` for a file cut short, extended or changed
/// there; `mismatch` for a format version or feature that this reader does not know.
Record read_record(const ImageFile& file);

/// The CRCs of the blocks, which agree with that of the whole; none where the record says so.
std::vector<std::uint32_t> read_crcs(const ImageFile& file, const Record& record);

/// Reads and checks record, head and tail, then every tensor's place: contiguous, inside the body,
/// overlapping no other, of a known type, reached by hard links alone. Without the HDF5 library.
ImageIndex read_index(const ImageFile& file);

}  // namespace cairn::storage
