#include "storage/shard_tables.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "plan/cover_proof.hpp"
#include "storage/image_format.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

constexpr std::string_view kChecksum = "checksum";
constexpr std::string_view kShards = "shards";
constexpr std::string_view kTensors = "tensors/";
constexpr std::uint64_t kShardColumns = 2;
/// Where other tensors have the number of their dtype.
constexpr std::uint64_t kTextNumber = 255;

std::vector<std::uint64_t> values_of(const ShardedTensor& tensor) {
  const auto number = static_cast<std::uint64_t>(tensor.dtype);
  std::vector<std::uint64_t> table{tensor.is_text ? kTextNumber : number};
  table.insert(table.end(), tensor.shape.begin(), tensor.shape.end());
  table.resize(1 + 2 * tensor.shape.size(), 0);
  for (const ShardPiece& piece : tensor.pieces) {
    table.push_back(piece.shard);
    table.insert(table.end(), piece.box.offset.begin(), piece.box.offset.end());
    table.insert(table.end(), piece.box.extent.begin(), piece.box.extent.end());
  }
  return table;
}

std::vector<std::uint64_t> values_of(const std::vector<ShardFile>& shards) {
  std::vector<std::uint64_t> table;
  for (const ShardFile& shard : shards) {
    table.insert(table.end(), {shard.image_bytes, shard.head_crc});
  }
  return table;
}

/// Of all tables of a family but the first, which holds it.
std::uint32_t checksum_of(std::span<const IndexTable> tables) {
  std::uint32_t crc = 0;
  for (const IndexTable& table : tables.subspan(1)) {
    crc = codec::crc32(std::as_bytes(std::span(table.values)), crc);
  }
  return crc;
}

bool is_possible(const ShardPiece& piece, const Shape& shape, std::uint64_t shards) {
  const Box& box = piece.box;
  if (piece.shard >= shards || is_empty(box)) return false;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (box.offset[d] > shape[d] || box.extent[d] > shape[d] - box.offset[d]) return false;
  }
  return true;
}

/// What is wrong with the boxes of a tensor, which lie in it; nothing where they cover it exactly
/// once.
std::optional<std::string> find_fault(const ShardedTensor& tensor) {
  std::vector<Box> boxes;
  boxes.reserve(tensor.pieces.size());
  for (const ShardPiece& piece : tensor.pieces) boxes.push_back(piece.box);
  switch (plan::prove_cover(tensor.shape, boxes)) {
    case plan::CoverProof::exact:
      return std::nullopt;
    case plan::CoverProof::wrong:
      return "has boxes that do not cover it exactly once";
    case plan::CoverProof::undecided:
      break;
  }
  return "has " + std::to_string(boxes.size()) +
         " boxes cut so irregularly that it takes more than " +
         std::to_string(plan::cover_steps(boxes.size())) + " steps to tell whether they cover it";
}

void check_table(const IndexTable& table) {
  const TensorInfo& info = table.info;
  if (info.dtype == DType::uint64 && !info.is_text && info.shape.size() == 2 &&
      checked_bytes(info.shape, info.dtype, info.name) / sizeof(std::uint64_t) ==
          table.values.size()) {
    return;
  }
  refuse_object(info.name, "is no table of an index");
}

void check_checksum(std::span<const IndexTable> tables) {
  if (tables.empty() || tables.front().info.name != kChecksum) {
    throw Error(ErrorCode::damaged, "it is no index of shards: it has no checksum");
  }
  const std::uint32_t crc = checksum_of(tables);
  const std::vector<std::uint64_t>& stored = tables.front().values;
  if (stored.size() == 1 && stored.front() == crc) return;
  throw Error(ErrorCode::damaged,
              "the CRC of its tables is " + std::to_string(crc) + ", another was expected");
}

std::vector<ShardFile> shards_of(const IndexTable& table) {
  if (table.info.shape[1] != kShardColumns) refuse_object(table.info.name, "is no table of shards");
  std::vector<ShardFile> shards;
  for (std::size_t i = 0; i < table.values.size(); i += kShardColumns) {
    shards.push_back({table.values[i], static_cast<std::uint32_t>(table.values[i + 1])});
  }
  return shards;
}

/// In one piece, as long as a text may be.
bool is_text(const IndexTable& table) {
  return table.info.family == Family::append_info && table.info.shape == Shape{2, 3} &&
         table.values[0] == kTextNumber && table.values[1] > 0 && table.values[1] <= kLongestText;
}

/// Name, dtype and shape, from the first row.
ShardedTensor start_tensor(const IndexTable& table) {
  const std::uint64_t columns = table.info.shape[1];
  const std::uint64_t rank = columns / 2;
  if (columns % 2 != 1 || rank > kLargestRank || table.values.empty() ||
      (table.values[0] >= kDTypeCount && !is_text(table))) {
    refuse_object(table.info.name, "is no table of a tensor");
  }
  ShardedTensor tensor;
  tensor.name = table.info.name.substr(kTensors.size());
  tensor.family = table.info.family;
  tensor.is_text = is_text(table);
  tensor.dtype = tensor.is_text ? DType::uint8 : static_cast<DType>(table.values[0]);
  const auto shape = std::span(table.values).subspan(1, rank);
  tensor.shape.assign(shape.begin(), shape.end());
  const std::uint64_t elements =
      checked_bytes(tensor.shape, tensor.dtype, table.info.name) / size_of(tensor.dtype);
  if (table.info.shape[0] - 1 > elements) {
    refuse_object(table.info.name, "has " + std::to_string(table.info.shape[0] - 1) +
                                       " boxes, the tensor " + std::to_string(elements) +
                                       " elements");
  }
  return tensor;
}

ShardedTensor tensor_of(const IndexTable& table, std::uint64_t shards) {
  ShardedTensor tensor = start_tensor(table);
  const std::size_t rank = tensor.shape.size();
  const std::size_t columns = 1 + 2 * rank;
  for (std::size_t row = columns; row < table.values.size(); row += columns) {
    const auto cells = std::span(table.values).subspan(row, columns);
    const auto offset = cells.subspan(1, rank);
    const auto extent = cells.subspan(1 + rank, rank);
    tensor.pieces.push_back(
        {cells[0], {{offset.begin(), offset.end()}, {extent.begin(), extent.end()}}});
    if (!is_possible(tensor.pieces.back(), tensor.shape, shards)) {
      refuse_object(table.info.name, "has a box that leaves its shape or the shards");
    }
  }
  if (const auto fault = find_fault(tensor)) refuse_object(table.info.name, *fault);
  return tensor;
}

/// In bytewise order: "checksum", "shards", "tensors/…"; of another family than parameters none where
/// it has no tensors.
std::vector<IndexTable> tables_of(const ShardIndex& index, Family family) {
  std::vector<IndexTable> tables{{{std::string(kChecksum), DType::uint64, {1, 1}, family}, {0}}};
  if (family == Family::parameter) {
    tables.push_back({{std::string(kShards), DType::uint64, {index.shards.size(), kShardColumns}},
                      values_of(index.shards)});
  }
  for (const ShardedTensor& tensor : index.tensors) {
    if (tensor.family != family) continue;
    if (const auto fault = find_fault(tensor)) {
      throw Error(ErrorCode::layout, label(tensor) + " " + *fault);
    }
    tables.push_back({{std::string(kTensors) + tensor.name,
                       DType::uint64,
                       {1 + tensor.pieces.size(), 1 + 2 * tensor.shape.size()},
                       family},
                      values_of(tensor)});
  }
  if (family != Family::parameter && tables.size() == 1) return {};
  tables[0].values[0] = checksum_of(tables);
  return tables;
}

/// Takes the tables of one family into `index`. The shards are known before any tensor is.
void take_family(std::span<const IndexTable> tables, ShardIndex& index) {
  check_checksum(tables);
  for (const IndexTable& table : tables.subspan(1)) {
    const bool is_parameter = table.info.family == Family::parameter;
    if (table.info.name == kShards && is_parameter) {
      index.shards = shards_of(table);
    } else if (table.info.name.starts_with(kTensors)) {
      index.tensors.push_back(tensor_of(table, index.shards.size()));
    } else {
      refuse_object(listed_name(table.info.family, table.info.name),
                    "does not belong into an index");
    }
  }
}

}  // namespace

std::vector<IndexTable> tables_of(const ShardIndex& index) {
  std::vector<IndexTable> tables = tables_of(index, Family::parameter);
  for (const Family family : {Family::append_info, Family::map_parameter}) {
    std::ranges::move(tables_of(index, family), std::back_inserter(tables));
  }
  return tables;
}

ShardIndex index_of(std::span<const IndexTable> tables) {
  std::ranges::for_each(tables, check_table);
  const auto family_of = [](const IndexTable& table) { return table.info.family; };
  ShardIndex index;
  // In the order of their families; that of parameters is never without tables.
  for (const Family family : {Family::parameter, Family::append_info, Family::map_parameter}) {
    const auto begin = std::ranges::lower_bound(tables, family, {}, family_of);
    const auto end = std::ranges::upper_bound(tables, family, {}, family_of);
    if (begin == end && family != Family::parameter) continue;
    take_family({begin, end}, index);
  }
  return index;
}

}  // namespace cairn::storage
