// The tables of a shard index. Input: tables, each a byte that says how it is called (and in its
// highest two bits whether it begins those of append_info or of MapParameters), the numbers of its rows and columns (a byte
// each), and its values. The checksums are put in front and repaired.
#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "fuzz/index_names.hpp"
#include "fuzz/maps.hpp"
#include "storage/shard_tables.hpp"

using namespace cairn;

namespace {

storage::IndexTable checksum_of(Family family) {
  return {{"checksum", DType::uint64, {1, 1}, family}, {0}};
}

/// Of each family.
void repair(std::vector<storage::IndexTable>& tables) {
  for (std::size_t i = 0; i < tables.size();) {
    storage::IndexTable& checksum = tables[i];
    std::uint32_t crc = 0;
    for (++i; i < tables.size() && tables[i].info.family == checksum.info.family; ++i) {
      crc = codec::crc32(std::as_bytes(std::span(tables[i].values)), crc);
    }
    checksum.values.assign(1, crc);
  }
}

void take_table(fuzz::Input& input, std::vector<storage::IndexTable>& tables) {
  storage::IndexTable table;
  const unsigned which = input.number<std::uint8_t>();
  table.info.name = fuzz::kIndexNames[which % fuzz::kBeginsMaps % fuzz::kIndexNames.size()];
  table.info.dtype = DType::uint64;
  table.info.family = tables.back().info.family;
  Family family = table.info.family;
  if ((which & fuzz::kBeginsInfo) != 0) family = std::max(family, Family::append_info);
  if ((which & fuzz::kBeginsMaps) != 0) family = Family::map_parameter;
  if (family != table.info.family) {
    table.info.family = family;
    tables.push_back(checksum_of(family));
  }
  const std::uint64_t rows = input.number<std::uint8_t>();
  const std::uint64_t columns = input.number<std::uint8_t>();
  table.info.shape = {rows, columns};
  table.values.resize(rows * columns);
  const auto values = input.take(table.values.size() * sizeof(std::uint64_t));
  if (!values.empty()) std::memcpy(table.values.data(), values.data(), values.size());
  tables.push_back(std::move(table));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::vector<storage::IndexTable> tables{checksum_of(Family::parameter)};
  while (!input.empty() && tables.size() < 20) take_table(input, tables);
  repair(tables);
  fuzz::accepts([&] {
    const storage::ShardIndex index = storage::index_of(tables);
    const auto again = storage::tables_of(index);  // whatever is read can be written
    fuzz::require(again.size() >= index.tensors.size() + 2);
    fuzz::read_maps(std::vector<TensorInfo>(index.tensors.begin(), index.tensors.end()));
  });
  return 0;
}
