#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "storage/shard_index.hpp"

namespace cairn::storage {

/// A table of an index: a dataset of uint64 of two dimensions, and its values.
struct IndexTable {
  TensorInfo info;
  std::vector<std::uint64_t> values;
};

/// The tables of an index, in the order of their keys. Throws `layout` where the boxes of a
/// tensor are such that no reader could prove that they cover it.
std::vector<IndexTable> tables_of(const ShardIndex& index);

/// What tables in that order say. They may come from anybody: `damaged`, naming the table, where
/// they are not what `tables_of` makes.
ShardIndex index_of(std::span<const IndexTable> tables);

}  // namespace cairn::storage
