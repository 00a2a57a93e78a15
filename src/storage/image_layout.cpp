// The steps of a layout:
//
// 1. The block size follows from the bytes of the values and the bound, nothing else.
// 2. HDF5 creates groups and datasets in a file in memory, in the order of the tensors' keys (those
//    of append_info behind the parameters, those of MapParameters last, each family in bytewise
//    order of the names), with
//    `head_bytes` reserved for its metadata; then a padding that fills the last block of values;
//    then the block table and the record.
// 3. If metadata turns out to lie elsewhere too, `head_bytes` is doubled and 2 is done again.
//
// All of it is a function of the structure, and so are the bytes of the head.
#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/dataset_names.hpp"
#include "storage/hdf5_types.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/image_sketch.hpp"
#include "storage/image_types.hpp"

namespace cairn::storage {
namespace {

// HDF5's metadata, a little generously: guessed too small, the layout is done twice.
constexpr std::uint64_t kBytesPerFile = 16 << 10;
constexpr std::uint64_t kBytesPerDataset = 420;
constexpr std::uint64_t kBytesPerGroup = 1400;
/// A group's names lie in a heap that is moved when it grows.
constexpr std::uint64_t kBytesPerNameByte = 3;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

void check_tensor(const TensorInfo& tensor) {
  if (tensor.shape.size() > kLargestRank) {
    refuse(label(tensor) + " has " + std::to_string(tensor.shape.size()) +
           " dimensions; HDF5 takes at most " + std::to_string(kLargestRank));
  }
  const auto depth = static_cast<std::size_t>(std::ranges::count(tensor.name, '/')) +
                     (tensor.family == Family::parameter ? 0 : 1);
  if (depth > kDeepestGroup) {
    refuse(label(tensor) + " lies " + std::to_string(depth) + " groups deep; at most " +
           std::to_string(kDeepestGroup) + " are taken");
  }
}

void check_order(std::span<const TensorInfo> tensors) {
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i - 1].key() < tensors[i].key()) continue;
    refuse(label(tensors[i]) + " comes after " + label(tensors[i - 1]) +
           ": each name once, in bytewise order");
  }
}

void check_bound(std::uint64_t largest_block) {
  if (std::has_single_bit(largest_block) && largest_block >= kSmallestBlock &&
      largest_block <= kLargestBlock) {
    return;
  }
  refuse("a block of " + std::to_string(largest_block) + " bytes: a power of two from " +
         std::to_string(kSmallestBlock) + " to " + std::to_string(kLargestBlock) + " is taken");
}

std::uint64_t sum_of_values(std::span<const TensorInfo> tensors) {
  std::uint64_t sum = 0;
  for (const TensorInfo& tensor : tensors) {
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(element_count(tensor.shape), size_of(tensor.dtype), &bytes) ||
        __builtin_add_overflow(sum, bytes, &sum) || sum > kLargestImage) {
      refuse(label(tensor) + " makes the checkpoint larger than " +
             std::to_string(kLargestImage) + " bytes");
    }
  }
  return sum;
}

/// What does not change from one attempt to the next.
struct Structure {
  std::span<const TensorInfo> tensors;
  std::vector<std::string> paths;   // of the tensors
  std::vector<std::string> groups;  // each after the one that it lies in
  std::uint64_t block_bytes = 0;
};

std::vector<std::string> groups_of(const std::vector<std::string>& paths) {
  std::vector<std::string> groups;
  std::unordered_set<std::string_view> seen;
  for (const std::string& path : paths) {
    for (auto slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      const std::string_view group = std::string_view(path).substr(0, slash);
      if (seen.insert(group).second) groups.emplace_back(group);
    }
  }
  return groups;
}

std::uint64_t guess_head(const Structure& structure) {
  std::uint64_t names = 0;
  for (const std::string& path : structure.paths) names += path.size() - (path.rfind('/') + 1);
  for (const std::string& group : structure.groups) names += group.size() - (group.rfind('/') + 1);
  const std::uint64_t bytes = kBytesPerFile + structure.paths.size() * kBytesPerDataset +
                              structure.groups.size() * kBytesPerGroup + names * kBytesPerNameByte;
  return round_up(bytes, structure.block_bytes);
}

/// The size of a dataset that begins at `end` or, where HDF5 aligns it, a little later, and ends
/// with a block.
std::uint64_t padding_bytes(std::uint64_t end, std::uint64_t block_bytes) {
  // So that a padding that is aligned stays large enough to be.
  static_assert(kAlignedFrom % kDatasetAlignment == 0 && kSmallestBlock % kAlignedFrom == 0);
  const std::uint64_t bytes = round_up(end, block_bytes) - end;
  if (bytes < kAlignedFrom) return bytes;
  return round_up(end, block_bytes) - round_up(end, kDatasetAlignment);
}

std::uint64_t add_tensor(ImageSketch& sketch, const Hdf5Types& types, const std::string& path,
                         const TensorInfo& tensor) {
  if (!tensor.is_text) return sketch.add_dataset(path, types.of(tensor.dtype), tensor.shape);
  const H5Datatype text = text_type(tensor.shape.at(0));
  return sketch.add_dataset(path, text.get(), {});
}

void place_tensors(ImageSketch& sketch, const Structure& structure, ImageLayout& layout) {
  const Hdf5Types types;
  for (const std::string& group : structure.groups) sketch.add_group(group);
  layout.offsets.reserve(structure.tensors.size());
  for (std::size_t i = 0; i < structure.tensors.size(); ++i) {
    const TensorInfo& tensor = structure.tensors[i];
    layout.offsets.push_back(add_tensor(sketch, types, structure.paths[i], tensor));
    if (tensor.family != Family::parameter) continue;
    ++layout.tensor_count;
    layout.value_bytes += element_count(tensor.shape) * size_of(tensor.dtype);
  }
}

/// Those of MapParameters come last.
bool has_maps(std::span<const TensorInfo> tensors) {
  return !tensors.empty() && tensors.back().family == Family::map_parameter;
}

void place_padding_and_tail(ImageSketch& sketch, bool with_maps, ImageLayout& layout) {
  sketch.add_group(std::string(kOwnGroup));
  const std::uint64_t padding = padding_bytes(sketch.end(), layout.block_bytes);
  if (padding > 0) {
    sketch.add_dataset(std::string(kPaddingPath), H5T_STD_U8LE, std::span(&padding, 1));
  }
  layout.tail_offset = sketch.end();
  layout.table_entries = layout.tail_offset / layout.block_bytes;
  const H5Datatype entry = table_entry_type();
  layout.table_offset =
      sketch.add_dataset(std::string(kTablePath), entry.get(), std::span(&layout.table_entries, 1));
  const H5Datatype record = record_type(with_maps);
  sketch.add_dataset(std::string(kRecordPath), record.get(), {});
  layout.image_bytes = sketch.end();
}

/// Steps 2 and 3: nothing if HDF5 needs a larger head.
std::optional<ImageLayout> try_lay_out(const Structure& structure, std::uint64_t head_bytes) {
  ImageLayout layout;
  layout.block_bytes = structure.block_bytes;
  layout.head_bytes = head_bytes;
  ImageSketch sketch(head_bytes);
  place_tensors(sketch, structure, layout);
  place_padding_and_tail(sketch, has_maps(structure.tensors), layout);
  if (!sketch.finish() || layout.table_offset != layout.tail_offset) return std::nullopt;
  layout.head.resize(head_bytes);
  sketch.read_head(layout.head);
  layout.head_crc = codec::crc32(layout.head);
  return layout;
}

void check_table(const ImageLayout& layout) {
  const std::uint64_t bytes = layout.table_entries * kTableEntryBytes;
  if (bytes <= kLargestTable) return;
  refuse("blocks of " + std::to_string(layout.block_bytes) + " bytes make a block table of " +
         std::to_string(bytes) + " bytes, more than " + std::to_string(kLargestTable) +
         ": take larger blocks");
}

void check_names(const Structure& structure, std::uint64_t head_bytes) {
  std::uint64_t bytes = 0;
  for (const std::string& path : structure.paths) bytes += path.size();
  if (bytes <= kNameBytesPerHeadByte * head_bytes) return;
  refuse("the paths of all tensors have " + std::to_string(bytes) + " bytes, more than " +
         std::to_string(kNameBytesPerHeadByte) + " times the head's " +
         std::to_string(head_bytes) + ": shorten the names of the groups");
}

}  // namespace

std::uint64_t choose_block(std::uint64_t value_bytes, std::uint64_t largest_block) {
  check_bound(largest_block);
  return std::clamp(std::bit_ceil(value_bytes / 16), kSmallestBlock, largest_block);
}

ImageLayout lay_out(std::span<const TensorInfo> tensors, std::uint64_t largest_block) {
  return lay_out_in_blocks(tensors, choose_block(sum_of_values(tensors), largest_block));
}

ImageLayout lay_out_in_blocks(std::span<const TensorInfo> tensors, std::uint64_t block_bytes) {
  check_bound(block_bytes);
  check_order(tensors);
  std::ranges::for_each(tensors, check_tensor);
  Structure structure{.tensors = tensors, .paths = dataset_paths(tensors), .groups = {}};
  structure.groups = groups_of(structure.paths);
  (void)sum_of_values(tensors);  // not too many
  structure.block_bytes = block_bytes;
  const Hdf5Lock lock;
  for (std::uint64_t head = guess_head(structure); head <= kLargestHead; head *= 2) {
    if (auto layout = try_lay_out(structure, head)) {
      check_table(*layout);
      check_names(structure, head);
      return *std::move(layout);
    }
  }
  refuse(std::to_string(tensors.size()) + " tensors need a head of more than " +
         std::to_string(kLargestHead) + " bytes");
}

}  // namespace cairn::storage
