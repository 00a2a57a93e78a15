// The index is an image like any other, whose datasets are tables of uint64:
//
//   checksum         [1, 1]: the CRC-32 of the other tables' values, in bytewise order of the names
//   shards           [n, 2]: of each shard image_bytes, head_crc
//   tensors/<name>   [1 + boxes, 1 + 2 d]: first dtype and shape, zeros after it; then of each box
//                    the shard, its offset and its extent
//
// Those of append_info are in the index's own append_info, beside a checksum of their own: so a
// reader that does not know of them misses nothing. Those of MapParameters are in a group of that
// name in the same way.
//
// So HDF5 shows it, and reading and writing it, checksums and all, is what an image has already.
#include "storage/shard_index.hpp"

#include <algorithm>
#include <cstring>

#include "base/listing.hpp"
#include "cairn/error.hpp"
#include "policy/names.hpp"
#include "storage/block_reader.hpp"
#include "storage/posix_file.hpp"
#include "storage/shard_tables.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

/// More than the boxes of a million ranks need; a reader holds it in memory.
constexpr std::uint64_t kLargestIndex = std::uint64_t{4} << 30;
/// The tables are small next to what they describe.
constexpr std::uint64_t kIndexBlock = std::uint64_t{64} << 10;

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw Error(ErrorCode::damaged, path.string() + ": " + why);
}

/// The blocks of an index that was saved with CRCs; what is sealed is verified as it is read.
void check_blocks(const ImageFile& file, const ImageIndex& image) {
  if (!image.record.has_crc()) return;
  const std::uint64_t block_bytes = image.record.block_bytes;
  BlockReader reader(file, image);
  Bytes block(block_bytes);
  for (std::uint64_t at = image.record.head_bytes; at < image.record.tail_offset;
       at += block_bytes) {
    reader.read(block, at);
  }
}

std::vector<IndexTable> read_tables(const ImageFile& file, const ImageIndex& image) {
  std::vector<IndexTable> tables;
  for (const PlacedTensor& stored : image.tensors) {
    IndexTable table{stored, {}};
    if (stored.offset != kNoOffset) {
      table.values.resize(element_count(stored.shape) * size_of(stored.dtype) /
                          sizeof(std::uint64_t));
      file.read(std::as_writable_bytes(std::span(table.values)), stored.offset);
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

void check_same_checkpoint(const Record& found, const Record& expected, const fs::path& path) {
  if (found.identity() != expected.identity()) {
    refuse(path, "the shard belongs to another checkpoint: step " + std::to_string(found.step) +
                     ", sequence " + std::to_string(found.sequence) + ", expected step " +
                     std::to_string(expected.step) + ", sequence " +
                     std::to_string(expected.sequence) +
                     (found.run_id == expected.run_id ? "" : ", of another run"));
  }
  if (found.has_crc() != expected.has_crc()) {
    refuse(path, std::string("the shard has ") + (found.has_crc() ? "" : "no ") +
                     "CRCs of its blocks, unlike the index");
  }
}

/// The datasets that the index expects in a shard, as they are sorted there.
std::vector<TensorInfo> expected_pieces(const ReadIndex& read, std::uint64_t shard) {
  std::vector<TensorInfo> pieces;
  for (const auto& [t, p] : read.pieces_of[shard]) {
    const ShardedTensor& tensor = read.index.tensors[t];
    const Box& box = tensor.pieces[p].box;
    TensorInfo info = tensor;
    info.name = piece_name(tensor.name, box);
    info.shape = box.extent;
    pieces.push_back(std::move(info));
  }
  std::ranges::sort(pieces, {}, &TensorInfo::key);
  return pieces;
}

/// So that what is read of all shards does not grow with their number times that of the pieces.
void sort_by_shard(ReadIndex& read) {
  read.pieces_of.resize(read.index.shards.size());
  for (std::size_t t = 0; t < read.index.tensors.size(); ++t) {
    const auto& pieces = read.index.tensors[t].pieces;
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      read.pieces_of[pieces[p].shard].push_back({t, p});
    }
  }
}

/// The tensors that a shard holds parts of, for messages.
std::string tensors_in(const ShardIndex& index, std::uint64_t shard) {
  std::vector<std::string> names;
  for (const ShardedTensor& tensor : index.tensors) {
    if (std::ranges::any_of(tensor.pieces, [&](const auto& p) { return p.shard == shard; })) {
      names.push_back(listed_name(tensor.family, tensor.name));
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
    if (error.code() == ErrorCode::not_found) {
      refuse(path, "the shard is missing; it holds parts of " + tensors_in(index, shard));
    }
    // The index was opened with the same key and is of a format that is known: a shard that needs
    // another is not the index's.
    if (error.code() == ErrorCode::wrong_key || error.code() == ErrorCode::mismatch) {
      refuse(path, "the shard is protected in another way than the index, or with another key: " +
                       std::string(error.what()));
    }
    throw;
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
  // Only what surely is not there is missing. To try the other name where this one cannot be looked
  // at would end in "not there", and that in an older checkpoint.
  const auto is_missing = [](const fs::path& path) {
    std::error_code failed;
    const fs::file_type type = fs::status(path, failed).type();
    if (type == fs::file_type::none) throw_io_error(failed.value(), "look at", path);
    return type == fs::file_type::not_found;
  };
  const fs::path plain = directory / index_file_name(false);
  fs::path sealed = directory / index_file_name(true);
  if (!is_missing(sealed)) return sealed;
  if (!is_missing(plain)) return plain;
  throw Error(ErrorCode::not_found,
              directory.string() + ": the index of its shards is missing: " + "there is neither " +
                  index_file_name(false) + " nor " + index_file_name(true));
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
  const std::vector<IndexTable> tables = tables_of(index);
  std::vector<TensorInfo> infos;
  for (const IndexTable& table : tables) infos.push_back(table.info);
  IndexImage image{lay_out_in_blocks(infos, kIndexBlock), {}};
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
  check_blocks(file, image);
  const std::vector<IndexTable> tables = read_tables(file, image);
  ReadIndex read{.record = image.record, .index = {}, .sealed = file.sealed() != nullptr};
  try {
    read.index = index_of(tables);
  } catch (const Error& error) {
    throw Error(error.code(), file.path().string() + ": " + error.what());
  }
  check_place(file, image.record, {read.index.shards.size(), read.index.shards.size()});
  sort_by_shard(read);
  return read;
}

void check_is_no_part(const ImageFile& file) {
  if (file.sealed() == nullptr || file.sealed()->header.shards == 0) return;
  const SealedHeader& header = file.sealed()->header;
  const std::string name = file.path().filename().string();
  if (name == shard_file_name(header.shard, header.shards, true) || name == index_file_name(true)) {
    return;  // asked for by its own name
  }
  if (const auto lone = policy::parse_lone_name(name); lone && lone->rank == header.shard) return;
  refuse(file.path(), "by its header it is file " + std::to_string(header.shard) + " of " +
                          std::to_string(header.shards) + " shards, not a checkpoint of its own");
}

ReadShard read_shard(const fs::path& directory, std::uint64_t shard, const ReadIndex& expected,
                     const Unlock& unlock) {
  const std::uint64_t shards = expected.index.shards.size();
  const fs::path path = directory / shard_file_name(shard, shards, expected.sealed);
  ReadShard read = open_shard(path, shard, expected.index, unlock);
  const Record& record = read.image.record;
  check_same_checkpoint(record, expected.record, path);
  const ShardFile& known = expected.index.shards[shard];
  if (record.image_bytes != known.image_bytes || record.head_crc != known.head_crc) {
    refuse(path, "the shard is not the one that the index knows: its image has " +
                     std::to_string(record.image_bytes) + " bytes and the head CRC " +
                     std::to_string(record.head_crc) + ", expected " +
                     std::to_string(known.image_bytes) + " and " + std::to_string(known.head_crc));
  }
  check_place(read.file, record, {shard, shards});
  const std::vector<TensorInfo> pieces = expected_pieces(expected, shard);
  const bool same_pieces =
      std::ranges::equal(read.image.tensors, pieces, [](const PlacedTensor& a, const TensorInfo& b) {
        return static_cast<const TensorInfo&>(a) == b;
      });
  if (!same_pieces) refuse(path, "the shard holds other pieces than the index says");
  return read;
}

}  // namespace cairn::storage
