// Lone shards, inspected: judged by the rules of a restore (coord/lone_set), but told of whatever they lack.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/contents.hpp"
#include "base/listing.hpp"
#include "coord/lone_set.hpp"
#include "coord/structure.hpp"
#include "plan/cover_proof.hpp"
#include "storage/lone_shard.hpp"

namespace cairn {
namespace {

namespace fs = std::filesystem;

/// Of lone shards, a tensor: what it is, and what of it is there.
struct LoneTensor {
  TensorInfo info;
  std::vector<Piece> pieces;
};
using LoneTensors = std::map<std::pair<Family, std::string>, LoneTensor>;

/// What a lone shard says of itself.
struct LoneHead {
  storage::Identity identity;
  storage::LoneMark mark;
};

LoneHead lone_head_of(const fs::path& path, const storage::Unlock& unlock) {
  const auto file = storage::ImageFile::open(path, unlock);
  const storage::Record record = storage::read_record(file);
  return {record, coord::lone_mark_at(path, record)};
}

/// Of the newest that can be read.
std::optional<LoneHead> newest_of(const std::vector<fs::path>& files,
                                  const storage::Unlock& unlock) {
  std::optional<LoneHead> newest;
  for (const fs::path& path : files) {
    try {
      LoneHead head = lone_head_of(path, unlock);
      if (!newest || newness(newest->identity) < newness(head.identity)) newest = std::move(head);
    } catch (const Error&) {
      // It is told of when its contents are looked at.
    }
  }
  return newest;
}

void take_lone_shard(const fs::path& path, const storage::Unlock& unlock,
                     const std::optional<LoneHead>& newest, Contents& contents,
                     LoneTensors& tensors) {
  const auto file = storage::ImageFile::open(path, unlock);
  const storage::ImageIndex image = storage::read_index(file);
  storage::check_same_identity(file, image.record);
  const auto mark = coord::lone_mark_at(path, image.record);
  if (!newest || !is_of_one_state(image.record, mark, newest->identity, newest->mark)) {
    throw Error(ErrorCode::damaged,
                path.string() + ": it is of another attempt, step or structure than the newest");
  }
  take_mode(file, contents);
  const std::uint64_t values_before = contents.value_bytes;
  take_record(image.record, contents);
  contents.value_bytes += values_before;
  storage::BlockReader reader(file, image);
  for (const PlacedTensor& dataset : image.tensors) {
    const storage::LonePiece piece = storage::lone_piece(dataset, path.string());
    const auto [at, is_new] = tensors.try_emplace({piece.tensor.family, piece.tensor.name},
                                                  LoneTensor{piece.tensor, {}});
    if (at->second.info != piece.tensor) {
      throw Error(ErrorCode::damaged, path.string() + ": " + label(piece.tensor) + " is " +
                                          type_and_shape(piece.tensor) + ", and elsewhere " +
                                          type_and_shape(at->second.info));
    }
    at->second.pieces.push_back(
        {piece.box.offset, piece.box.extent, contents.files.size() - 1, piece.offset});
    if (!is_new || piece.tensor.family != Family::append_info) continue;
    PlacedTensor placed = dataset;
    static_cast<TensorInfo&>(placed) = piece.tensor;
    take_info(info_of(placed, file, reader), contents);
  }
}

/// What together they are not, if anything.
std::optional<std::string> find_lack(const LoneTensors& tensors,
                                     const storage::StructureDigest& structure) {
  std::vector<TensorInfo> infos;
  std::vector<std::string> in_part;
  for (const auto& [key, tensor] : tensors) {
    std::set<std::pair<Shape, Shape>> distinct;
    std::vector<Box> boxes;
    for (const Piece& piece : tensor.pieces) {
      const Box box{piece.offset, piece.extent};
      if (!is_empty(box) && distinct.insert({box.offset, box.extent}).second) boxes.push_back(box);
    }
    if (plan::prove_cover(tensor.info.shape, boxes) != plan::CoverProof::exact) {
      in_part.push_back(listed_name(tensor.info.family, tensor.info.name));
    }
    infos.push_back(tensor.info);
  }
  if (!in_part.empty()) return "not all of " + list_names(in_part) + " is there";
  if (coord::structure_of(infos) == structure) return std::nullopt;
  return "whole tensors are missing, or nobody knew which there were";
}

}  // namespace

void take_lone(const std::vector<fs::path>& files, const storage::Unlock& unlock,
               Contents& contents) {
  LoneTensors tensors;
  const std::optional<LoneHead> newest = newest_of(files, unlock);
  for (const fs::path& path : files) {
    contents.files.push_back({path, length_of(path), std::nullopt});
    note_problem(contents, [&] { take_lone_shard(path, unlock, newest, contents, tensors); });
  }
  contents.lacks = find_lack(tensors, newest ? newest->mark.structure : storage::StructureDigest{});
  for (auto& [key, tensor] : tensors) {
    if (tensor.info.family != Family::parameter) continue;
    contents.tensors.push_back(tensor_of(tensor.info));
    contents.tensors.back().pieces = std::move(tensor.pieces);
  }
}

}  // namespace cairn
