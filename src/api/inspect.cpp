#include "cairn/inspect.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "api/contents.hpp"
#include "base/append_entries.hpp"
#include "base/map_datasets.hpp"
#include "storage/chain_link.hpp"
#include "storage/listing.hpp"
#include "storage/lone_shard.hpp"
#include "storage/shard_index.hpp"

namespace cairn {
namespace {

namespace fs = std::filesystem;

/// All that a damaged checkpoint still has.
void take_name(const policy::CheckpointName& name, CheckpointInfo& info) {
  info.breakpoint = name.breakpoint;
  info.series = name.series;
  info.epoch = name.epoch;
  info.step_in_epoch = name.step_in_epoch;
}

LoneShards lone_shards(const storage::Listed& listed) {
  LoneShards lone{{}, listed.lone->ranks};
  for (const fs::path& file : listed.lone_files) {
    lone.ranks.push_back(storage::lone_name_of(file)->rank.value());
  }
  return lone;
}

CheckpointInfo info_of(const storage::Listed& listed) {
  CheckpointInfo info;
  info.path = listed.path;
  info.shards = listed.kind == policy::Kind::shards;
  info.sealed = listed.sealed;
  info.bytes = storage::bytes_on_disk(listed);
  if (listed.lone) info.lone = lone_shards(listed);
  info.problem = listed.problem;
  info.misnamed = storage::misnaming(listed);
  if (listed.identity) {
    take_identity(*listed.identity, info);
    info.broken = storage::find_broken_link(listed.path, *listed.identity);
  } else if (listed.name) {
    take_name(*listed.name, info);
  }
  return info;
}

/// "run_12" is series 12 of "run"; a name without a number is number 0.
std::pair<std::string, std::uint64_t> parts_of(const std::string& series) {
  constexpr std::size_t kMostDigits = 9;
  const std::size_t last = series.find_last_not_of("0123456789");
  const bool numbered = last != series.npos && series[last] == '_' && last + 1 < series.size() &&
                        series.size() - last - 1 <= kMostDigits;
  if (!numbered) return {series, 0};
  return {series.substr(0, last), std::stoull(series.substr(last + 1))};
}

bool stands_before(const CheckpointInfo& a, const CheckpointInfo& b) {
  const auto [prefix_a, number_a] = parts_of(a.series);
  const auto [prefix_b, number_b] = parts_of(b.series);
  const bool known_a = !a.problem;
  const bool known_b = !b.problem;
  return std::tie(prefix_a, number_b, known_a, b.sequence, b.saved_at, b.epoch, b.step_in_epoch,
                  a.path) < std::tie(prefix_b, number_a, known_b, a.sequence, a.saved_at, a.epoch,
                                     a.step_in_epoch, b.path);
}

void take_maps(const fs::path& path, const std::vector<TensorInfo>& tensors, Contents& contents) {
  try {
    for (const StoredMap& map : maps_in(tensors)) {
      const TensorInfo& keys = tensors[map.place(MapPart::keys)];
      const TensorInfo& row = tensors[map.place(MapPart::default_row)];
      const std::uint64_t entry =
          size_of(keys.dtype) + 1 + element_count(row.shape) * size_of(row.dtype);
      contents.maps.push_back(
          {map.name, keys.dtype, row.dtype, row.shape, map.entries, map.entries * entry});
    }
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
}

void take_image(const fs::path& path, const storage::Unlock& unlock, Contents& contents) {
  const auto file = storage::ImageFile::open(path, unlock);
  const storage::ImageIndex image = storage::read_index(file);
  storage::check_same_identity(file, image.record);
  take_mode(file, contents);
  take_record(image.record, contents);
  contents.files.push_back({path, length_of(path), std::nullopt});
  storage::BlockReader reader(file, image);
  for (const PlacedTensor& placed : image.tensors) {
    if (placed.family == Family::append_info) {
      take_info(info_of(placed, file, reader), contents);
      continue;
    }
    if (placed.family == Family::map_parameter) continue;
    StoredTensor tensor = tensor_of(placed);
    if (placed.offset != kNoOffset) {
      tensor.pieces.push_back({Shape(placed.shape.size(), 0), placed.shape, 0, placed.offset});
    }
    contents.tensors.push_back(std::move(tensor));
  }
  take_maps(path, {image.tensors.begin(), image.tensors.end()}, contents);
}

/// What a shard holds; nothing where it cannot be read, which is noted.
struct SeenShard {
  std::vector<PlacedTensor> datasets;       ///< in the order of their keys
  std::map<std::string, StoredInfo> infos;  ///< of append_info, by dataset
};

SeenShard take_shard(const fs::path& directory, std::uint64_t shard,
                     const storage::ReadIndex& index, const storage::Unlock& unlock,
                     Contents& contents) {
  const fs::path path =
      directory / storage::shard_file_name(shard, index.index.shards.size(), index.sealed);
  contents.files.push_back({path, length_of(path), std::nullopt});
  SeenShard seen;
  note_problem(contents, [&] {
    const storage::ReadShard read = storage::read_shard(directory, shard, index, unlock);
    take_mode(read.file, contents);
    contents.block_bytes = read.image.record.block_bytes;
    storage::BlockReader reader(read.file, read.image);
    for (const PlacedTensor& dataset : read.image.tensors) {
      if (dataset.family != Family::append_info) continue;
      seen.infos.emplace(dataset.name, info_of(dataset, read.file, reader));
    }
    seen.datasets = read.image.tensors;
  });
  return seen;
}

StoredTensor tensor_of(const storage::ShardedTensor& stored,
                       const std::vector<SeenShard>& shards) {
  StoredTensor tensor = tensor_of(stored);
  for (const storage::ShardPiece& piece : stored.pieces) {
    const auto& there = shards[piece.shard].datasets;
    const std::string name = storage::piece_name(stored.name, piece.box);
    const auto at =
        std::ranges::lower_bound(there, TensorKey{stored.family, name}, {}, &PlacedTensor::key);
    tensor.pieces.push_back({piece.box.offset, piece.box.extent, 1 + piece.shard,
                             at == there.end() ? std::nullopt : std::optional(at->offset)});
  }
  return tensor;
}

/// A plain one lies in one shard.
StoredInfo info_of(const storage::ShardedTensor& stored, const std::vector<SeenShard>& shards,
                   const Contents& contents) {
  if (!is_plain(stored)) return {stored.name, AppendedTensor{stored.dtype, stored.shape}, {}};
  const storage::ShardPiece& piece = stored.pieces.front();
  const auto& infos = shards[piece.shard].infos;
  const auto found = infos.find(storage::piece_name(stored.name, piece.box));
  if (found == infos.end()) return {stored.name, {}, contents.files[1 + piece.shard].problem};
  return {stored.name, found->second.value, found->second.problem};
}

void take_shards(const fs::path& directory, const storage::Unlock& unlock, Contents& contents) {
  const storage::ReadIndex read = storage::read_shard_index(directory, unlock);
  take_record(read.record, contents);
  const fs::path index = storage::index_path(directory);
  contents.files.push_back({index, length_of(index), std::nullopt});
  std::vector<SeenShard> shards;
  for (std::uint64_t s = 0; s < read.index.shards.size(); ++s) {
    shards.push_back(take_shard(directory, s, read, unlock, contents));
  }
  contents.value_bytes = 0;
  for (const storage::ShardedTensor& stored : read.index.tensors) {
    if (stored.family == Family::append_info) {
      take_info(info_of(stored, shards, contents), contents);
      continue;
    }
    if (stored.family == Family::map_parameter) continue;
    contents.tensors.push_back(tensor_of(stored, shards));
    contents.value_bytes += contents.tensors.back().bytes;
  }
  take_maps(directory, {read.index.tensors.begin(), read.index.tensors.end()}, contents);
}

}  // namespace

std::string_view to_string(Leftover::Kind kind) noexcept {
  constexpr std::array<std::string_view, 4> kNames{"temporary", "trash", "replaced", "quarantined"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Listing list(const fs::path& directory) {
  const storage::DirectoryListing found = storage::look_at(directory);
  Listing listing;
  for (const storage::Listed& listed : found.checkpoints) {
    listing.checkpoints.push_back(info_of(listed));
  }
  std::ranges::sort(listing.checkpoints, stands_before);
  for (const storage::ListedRemnant& left : found.remnants) {
    const auto kind = static_cast<Leftover::Kind>(left.remnant);  // named alike
    listing.leftovers.push_back({left.path, kind, storage::bytes_on_disk(left.path)});
  }
  return listing;
}

CheckpointInfo identify(const fs::path& path) {
  const storage::Listed listed = storage::look_at_one(path);
  std::error_code ignored;
  const bool is_there = listed.lone ? !listed.lone_files.empty() : fs::exists(path, ignored);
  if (listed.problem && !is_there) throw *listed.problem;
  return info_of(listed);
}

Contents inspect(const fs::path& path, const InspectOptions& options) {
  const storage::Unlock unlock{options.enc_key, options.enc_mode};
  storage::check(unlock);
  Contents contents;
  static_cast<CheckpointInfo&>(contents) = identify(path);
  if (contents.lone) {
    contents.problem.reset();  // of a file, which is told with that
    take_lone(storage::look_at_one(path).lone_files, unlock, contents);
    return contents;
  }
  if (contents.problem) throw *contents.problem;
  if (contents.shards) {
    take_shards(path, unlock, contents);
  } else {
    take_image(path, unlock, contents);
  }
  return contents;
}

}  // namespace cairn
