#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/box.hpp"
#include "base/tensor.hpp"
#include "storage/image.hpp"
#include "storage/image_writer.hpp"

namespace cairn::storage {

/// The index of a checkpoint in shards, in its directory: "index.h5", sealed "index.h5.enc".
std::string index_file_name(bool sealed);

/// "shard-<r>of<n>.h5", sealed with ".enc" behind.
std::string shard_file_name(std::uint64_t shard, std::uint64_t shards, bool sealed);

/// The path of the index in `directory`: the sealed one where there is one. Throws `not_found`.
std::filesystem::path index_path(const std::filesystem::path& directory);

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
  std::vector<ShardedTensor> tensors;  ///< in the order of their keys
  std::vector<ShardFile> shards;
};

/// The index as the bytes of an image without its record: a table of numbers for the shards, and
/// one per tensor.
struct IndexImage {
  ImageLayout layout;
  std::vector<std::byte> body;  ///< [head_bytes, tail_offset)
};
IndexImage make_index_image(const ShardIndex& index);

/// Writes all of it, with `record`, and gives the file its length. `writer` is new and of its layout.
void write_index(const PosixFile& file, const IndexImage& image, const Record& record,
                 ImageWriter& writer);

struct ReadIndex {
  /// A piece, by its places in `index.tensors` and there.
  struct PieceAt {
    std::size_t tensor;
    std::size_t piece;
  };

  Record record;
  ShardIndex index;
  bool sealed = false;
  std::vector<std::vector<PieceAt>> pieces_of{};  ///< by shard: the same as in `index`
};
/// Reads and checks the index of the checkpoint in `directory`. Throws `damaged` naming what is
/// wrong where; the errors of `ImageFile::open`.
ReadIndex read_shard_index(const std::filesystem::path& directory, const Unlock& unlock);

/// Throws `damaged` where a sealed file is a part of a checkpoint in shards and bears another name.
void check_is_no_part(const ImageFile& file);

/// A shard as it was opened and read.
struct ReadShard {
  ImageFile file;
  ImageIndex image;
};
/// A shard, checked against the index and the index's record; throws `damaged` naming the shard where
/// it is missing, cut, changed, or of another checkpoint. Its tensors are pieces, exactly those that
/// the index expects.
ReadShard read_shard(const std::filesystem::path& directory, std::uint64_t shard,
                     const ReadIndex& expected, const Unlock& unlock);

}  // namespace cairn::storage
