// The index is an image like any other, whose datasets are tables of uint64:
//
//   checksum         [1, 1]: the CRC-32 of the other tables' values, in bytewise order of the names
//   shards           [n, 2]: of each shard image_bytes, head_crc
//   tensors/<name>   [1 + boxes, 1 + 2 d]: first dtype and shape, zeros after it; then of each box
//                    the shard, its offset and its extent
//
// So HDF5 shows it, and reading and writing it, checksums and all, is what an image has already.
#include "storage/shard_index.hpp"

#include <algorithm>
#include <cstring>

#include "base/listing.hpp"
#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "plan/cover.hpp"
#include "storage/image_format.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kChecksum = "checksum";
constexpr std::string_view kShards = "shards";
constexpr std::string_view kTensors = "tensors/";
constexpr std::uint64_t kShardColumns = 2;
/// More than the boxes of a million ranks need; a reader holds it in memory.
constexpr std::uint64_t kLargestIndex = std::uint64_t{4} << 30;
/// The tables are small next to what they describe.
constexpr std::uint64_t kIndexBlock = std::uint64_t{64} << 10;

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw Error(ErrorCode::damaged, path.string() + ": " + why);
}

std::vector<std::uint64_t> table_of(const ShardedTensor& tensor) {
  std::vector<std::uint64_t> table{static_cast<std::uint64_t>(tensor.dtype)};
  table.insert(table.end(), tensor.shape.begin(), tensor.shape.end());
  table.resize(1 + 2 * tensor.shape.size(), 0);
  for (const ShardPiece& piece : tensor.pieces) {
    table.push_back(piece.shard);
    table.insert(table.end(), piece.box.offset.begin(), piece.box.offset.end());
    table.insert(table.end(), piece.box.extent.begin(), piece.box.extent.end());
  }
  return table;
}

std::vector<std::uint64_t> table_of(const std::vector<ShardFile>& shards) {
  std::vector<std::uint64_t> table;
  for (const ShardFile& shard : shards) {
    table.insert(table.end(), {shard.image_bytes, shard.head_crc});
  }
  return table;
}

/// A table, as the image's tensor and its values.
struct Table {
  TensorInfo info;
  std::vector<std::uint64_t> values;
};

std::uint64_t add_to_checksum(std::span<const std::uint64_t> values, std::uint64_t crc) {
  return codec::crc32(std::as_bytes(values), static_cast<std::uint32_t>(crc));
}

std::vector<Table> tables_of(const ShardIndex& index) {
  std::vector<Table> tables{{{std::string(kChecksum), DType::uint64, {1, 1}}, {0}}};
  tables.push_back({{std::string(kShards), DType::uint64, {index.shards.size(), kShardColumns}},
                    table_of(index.shards)});
  for (const ShardedTensor& tensor : index.tensors) {
    tables.push_back({{std::string(kTensors) + tensor.name, DType::uint64,
                       {1 + tensor.pieces.size(), 1 + 2 * tensor.shape.size()}},
                      table_of(tensor)});
  }
  for (std::size_t i = 1; i < tables.size(); ++i) {
    tables[0].values[0] = add_to_checksum(tables[i].values, tables[0].values[0]);
  }
  return tables;  // in bytewise order: "checksum", "shards", "tensors/…"
}

std::vector<std::uint64_t> read_table(const ImageFile& file, const PlacedTensor& tensor) {
  if (tensor.dtype != DType::uint64 || tensor.shape.size() != 2) {
    refuse(file.path(), "'" + tensor.name + "' is no table of an index");
  }
  std::vector<std::uint64_t> values(element_count(tensor.shape));
  if (!values.empty()) file.read(std::as_writable_bytes(std::span(values)), tensor.offset);
  return values;
}

/// All tables of an index, the first of which is the checksum.
std::vector<std::vector<std::uint64_t>> read_checked_tables(const ImageFile& file,
                                                            const ImageIndex& image) {
  if (image.tensors.empty() || image.tensors.front().name != kChecksum) {
    refuse(file.path(), "it is no index of shards: it has no checksum");
  }
  std::vector<std::vector<std::uint64_t>> tables;
  std::uint64_t crc = 0;
  for (const PlacedTensor& stored : image.tensors) {
    tables.push_back(read_table(file, stored));
    if (tables.size() > 1) crc = add_to_checksum(tables.back(), crc);
  }
  if (tables.front().size() != 1 || tables.front().front() != crc) {
    refuse(file.path(), "the CRC of its tables is " + std::to_string(crc) + ", another was expected");
  }
  return tables;
}

ShardFile shard_of_row(std::span<const std::uint64_t> row) {
  return {row[0], static_cast<std::uint32_t>(row[1])};
}

void check_boxes(const ShardedTensor& tensor, std::uint64_t shards, const fs::path& path) {
  std::vector<Box> boxes;
  for (const ShardPiece& piece : tensor.pieces) {
    const Box& box = piece.box;
    bool inside = piece.shard < shards && !is_empty(box);
    for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
      inside = inside && box.offset[d] <= tensor.shape[d] &&
               box.extent[d] <= tensor.shape[d] - box.offset[d];
    }
    if (!inside) refuse(path, "a box of '" + tensor.name + "' leaves its shape or the shards");
    boxes.push_back(box);
  }
  if (plan::find_defect(tensor.shape, boxes)) {
    refuse(path, "the boxes of '" + tensor.name + "' do not cover it exactly once");
  }
}

ShardedTensor tensor_of(const PlacedTensor& stored, std::span<const std::uint64_t> values,
                        std::uint64_t shards, const fs::path& path) {
  const std::uint64_t columns = stored.shape[1];
  const std::size_t rank = columns / 2;
  if (columns % 2 != 1 || rank > kLargestRank || stored.shape[0] < 1 || values[0] >= kDTypeCount) {
    refuse(path, "'" + stored.name + "' is no table of a tensor");
  }
  ShardedTensor tensor;
  tensor.name = stored.name.substr(kTensors.size());
  tensor.dtype = static_cast<DType>(values[0]);
  tensor.shape.assign(values.begin() + 1, values.begin() + 1 + static_cast<std::ptrdiff_t>(rank));
  for (std::uint64_t row = 1; row < stored.shape[0]; ++row) {
    const auto cells = values.subspan(row * columns, columns);
    const auto offset = cells.subspan(1, rank);
    const auto extent = cells.subspan(1 + rank, rank);
    tensor.pieces.push_back(
        {cells[0], {{offset.begin(), offset.end()}, {extent.begin(), extent.end()}}});
  }
  check_boxes(tensor, shards, path);
  return tensor;
}

bool same_checkpoint(const Record& a, const Record& b) {
  return a.run_id == b.run_id && a.series == b.series && a.sequence == b.sequence &&
         a.step == b.step && a.epoch == b.epoch && a.saved_at == b.saved_at;
}

/// The datasets that the index expects in a shard, as they are sorted there.
std::vector<TensorInfo> expected_pieces(const ShardIndex& index, std::uint64_t shard) {
  std::vector<TensorInfo> pieces;
  for (const ShardedTensor& tensor : index.tensors) {
    for (const ShardPiece& piece : tensor.pieces) {
      if (piece.shard != shard) continue;
      pieces.push_back({piece_name(tensor.name, piece.box), tensor.dtype, piece.box.extent});
    }
  }
  std::ranges::sort(pieces, {}, &TensorInfo::name);
  return pieces;
}

/// The tensors that a shard holds parts of, for messages.
std::string tensors_in(const ShardIndex& index, std::uint64_t shard) {
  std::vector<std::string> names;
  for (const ShardedTensor& tensor : index.tensors) {
    if (std::ranges::any_of(tensor.pieces, [&](const auto& p) { return p.shard == shard; })) {
      names.push_back(tensor.name);
    }
  }
  return list_names(names);
}

ReadShard open_shard(const fs::path& path, std::uint64_t shard, const ShardIndex& index,
                     const Unlock& unlock) {
  try {
    ImageFile file = ImageFile::open(path, unlock);
    ImageIndex image = read_index(file);
    return {std::move(file), std::move(image)};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    refuse(path, "the shard is missing; it holds parts of " + tensors_in(index, shard));
  }
}

/// The header of a sealed file must tell what its record tells, and which shard it is.
void check_place(const ImageFile& file, const Record& record, ShardOf of) {
  const SealedFile* const sealed = file.sealed();
  if (sealed == nullptr) return;
  check_same_identity(file, record);
  const SealedHeader& header = sealed->header;
  if (header.shard == of.shard && header.shards == of.shards) return;
  refuse(file.path(), "by its header it is file " + std::to_string(header.shard) + " of " +
                          std::to_string(header.shards) + " shards, expected " +
                          std::to_string(of.shard) + " of " + std::to_string(of.shards));
}

}  // namespace

std::string index_file_name(bool sealed) {
  return sealed ? "index.h5.enc" : "index.h5";
}

std::string shard_file_name(std::uint64_t shard, std::uint64_t shards, bool sealed) {
  return "shard-" + std::to_string(shard) + "of" + std::to_string(shards) +
         (sealed ? ".h5.enc" : ".h5");
}

fs::path index_path(const fs::path& directory) {
  std::error_code ignored;
  fs::path sealed = directory / index_file_name(true);
  return fs::exists(sealed, ignored) ? sealed : directory / index_file_name(false);
}

std::string piece_name(std::string_view tensor, const Box& box) {
  std::string name(tensor);
  name += '[';
  for (std::size_t d = 0; d < box.offset.size(); ++d) {
    if (d > 0) name += ',';
    name += std::to_string(box.offset[d]) + ":" + std::to_string(box.offset[d] + box.extent[d]);
  }
  return name + ']';
}

IndexImage make_index_image(const ShardIndex& index) {
  const std::vector<Table> tables = tables_of(index);
  std::vector<TensorInfo> infos;
  for (const Table& table : tables) infos.push_back(table.info);
  IndexImage image{lay_out_in_blocks(infos, kIndexBlock), {}, index.shards.size()};
  const ImageLayout& layout = image.layout;
  image.body.resize(layout.tail_offset - layout.head_bytes);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (layout.offsets[i] == kNoOffset) continue;
    std::memcpy(image.body.data() + (layout.offsets[i] - layout.head_bytes),
                tables[i].values.data(), tables[i].values.size() * sizeof(std::uint64_t));
  }
  return image;
}

void write_index(const PosixFile& file, const IndexImage& image, const Record& record,
                 ImageWriter& writer) {
  const ImageLayout& layout = image.layout;
  Bytes block(layout.block_bytes);
  for (std::uint64_t at = 0; at < image.body.size(); at += block.size()) {
    std::copy_n(image.body.begin() + static_cast<std::ptrdiff_t>(at), block.size(), block.begin());
    const std::uint64_t position = layout.head_bytes + at;
    writer.apply(block, position);
    file.write(block, writer.offset_of(position));
  }
  writer.complete(file, layout, record);
}

ReadIndex read_shard_index(const fs::path& directory, const Unlock& unlock) {
  const ImageFile file = ImageFile::open(index_path(directory), unlock);
  if (file.size() > kLargestIndex) {
    refuse(file.path(), "it has " + std::to_string(file.size()) + " bytes, more than an index has");
  }
  const ImageIndex image = read_index(file);
  const std::vector<std::vector<std::uint64_t>> tables = read_checked_tables(file, image);
  ReadIndex read{image.record, {}, file.sealed() != nullptr};
  for (std::size_t i = 1; i < tables.size(); ++i) {
    const PlacedTensor& stored = image.tensors[i];
    const std::vector<std::uint64_t>& values = tables[i];
    if (stored.name == kShards && stored.shape[1] == kShardColumns) {
      for (std::uint64_t row = 0; row < stored.shape[0]; ++row) {
        read.index.shards.push_back(shard_of_row(std::span(values).subspan(row * kShardColumns)));
      }
    } else if (stored.name.starts_with(kTensors)) {
      read.index.tensors.push_back(
          tensor_of(stored, values, read.index.shards.size(), file.path()));
    } else {
      refuse(file.path(), "'" + stored.name + "' does not belong into an index");
    }
  }
  check_place(file, image.record, {read.index.shards.size(), read.index.shards.size()});
  return read;
}

ReadShard read_shard(const fs::path& directory, std::uint64_t shard, const ReadIndex& expected,
                     const Unlock& unlock) {
  const std::uint64_t shards = expected.index.shards.size();
  const fs::path path = directory / shard_file_name(shard, shards, expected.sealed);
  ReadShard read = open_shard(path, shard, expected.index, unlock);
  const ShardFile& known = expected.index.shards[shard];
  const Record& record = read.image.record;
  const bool same_bytes =
      record.image_bytes == known.image_bytes && record.head_crc == known.head_crc;
  if (!same_checkpoint(record, expected.record) || !same_bytes ||
      record.has_crc() != expected.record.has_crc()) {
    refuse(path, "the shard belongs to another checkpoint: step " + std::to_string(record.step) +
                     ", sequence " + std::to_string(record.sequence) + ", expected step " +
                     std::to_string(expected.record.step) + ", sequence " +
                     std::to_string(expected.record.sequence));
  }
  check_place(read.file, record, {shard, shards});
  const std::vector<TensorInfo> pieces = expected_pieces(expected.index, shard);
  const bool same_pieces =
      std::ranges::equal(read.image.tensors, pieces, [](const PlacedTensor& a, const TensorInfo& b) {
        return static_cast<const TensorInfo&>(a) == b;
      });
  if (!same_pieces) refuse(path, "the shard holds other pieces than the index says");
  return read;
}

}  // namespace cairn::storage
