// The tables of a shard index. Input: tables, each a byte that says how it is called (and in its
// highest bit whether it begins those of append_info), the numbers of its rows and columns (a byte
// each), and its values. The checksums are put in front and repaired.
#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
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
  constexpr std::array kNames{"checksum", "shards", "tensors/a", "tensors/b", "tensors/", "other"};
  storage::IndexTable table;
  const unsigned which = input.number<std::uint8_t>();
  table.info.name = kNames[which % 0x80U % kNames.size()];
  table.info.dtype = DType::uint64;
  table.info.family = tables.back().info.family;
  if ((which & 0x80U) != 0 && table.info.family == Family::parameter) {
    table.info.family = Family::append_info;
    tables.push_back(checksum_of(Family::append_info));
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
  });
  return 0;
}
