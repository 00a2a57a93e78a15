#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/box.hpp"
#include "base/tensor.hpp"
#include "storage/image.hpp"

namespace cairn::storage {

/// The index of a checkpoint in shards: `index.h5` in its directory.
inline constexpr const char* kIndexFile = "index.h5";

/// "shard-<r>of<n>.h5"
std::string shard_file_name(std::uint64_t shard, std::uint64_t shards);

/// The dataset of a box of a tensor in its shard: "weight[0:512,0:1024]"; of a scalar "step[]".
std::string piece_name(std::string_view tensor, const Box& box);

/// A box of a tensor, and the shard that holds it.
struct ShardPiece {
  std::uint64_t shard = 0;
  Box box;
};

struct ShardedTensor : TensorInfo {
  std::vector<ShardPiece> pieces;
};

/// What a shard must look like; its record must tell the same checkpoint as that of the index.
struct ShardFile {
  std::uint64_t image_bytes = 0;
  std::uint32_t head_crc = 0;
};

/// Which box of which tensor lies in which shard. The boxes of a tensor cover it exactly once.
struct ShardIndex {
  std::vector<ShardedTensor> tensors;  ///< in bytewise order of their names
  std::vector<ShardFile> shards;
};

/// The index as the bytes of an image without its record: a table of numbers for the shards, and
/// one per tensor.
struct IndexImage {
  ImageLayout layout;
  std::vector<std::byte> body;  ///< [head_bytes, tail_offset)
};
IndexImage make_index_image(const ShardIndex& index);

/// Writes all of it, with `record`, and gives the file its length.
void write_index(const PosixFile& file, const IndexImage& image, const Record& record);

struct ReadIndex {
  Record record;
  ShardIndex index;
};
/// Reads and checks the index of the checkpoint in `directory`. Throws `damaged` naming what is
/// wrong where.
ReadIndex read_shard_index(const std::filesystem::path& directory);

/// A shard's record, checked against the index and the index's record; throws `damaged` naming the
/// shard where it is missing, cut, changed, or of another checkpoint. The tensors are its pieces,
/// which are exactly those that the index expects.
ImageIndex read_shard(const std::filesystem::path& directory, std::uint64_t shard,
                      const ReadIndex& expected);

}  // namespace cairn::storage
