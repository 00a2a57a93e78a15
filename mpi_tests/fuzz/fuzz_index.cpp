// The tables of a shard index. Input: tables, each a byte that says how it is called, the numbers
// of its rows and columns (a byte each), and its values. The checksum is repaired.
#include "codec/crc32.hpp"
#include "fuzz/input.hpp"
#include "storage/shard_tables.hpp"

using namespace cairn;

namespace {

storage::IndexTable take_table(fuzz::Input& input) {
  constexpr std::array kNames{"checksum", "shards", "tensors/a", "tensors/b", "tensors/", "other"};
  storage::IndexTable table;
  table.info.name = kNames[input.number<std::uint8_t>() % kNames.size()];
  table.info.dtype = DType::uint64;
  const std::uint64_t rows = input.number<std::uint8_t>();
  const std::uint64_t columns = input.number<std::uint8_t>();
  table.info.shape = {rows, columns};
  table.values.resize(rows * columns);
  const auto values = input.take(table.values.size() * sizeof(std::uint64_t));
  if (!values.empty()) std::memcpy(table.values.data(), values.data(), values.size());
  return table;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::vector<storage::IndexTable> tables{{{"checksum", DType::uint64, {1, 1}}, {0}}};
  while (!input.empty() && tables.size() < 20) tables.push_back(take_table(input));
  std::uint32_t crc = 0;
  for (std::size_t i = 1; i < tables.size(); ++i) {
    crc = codec::crc32(std::as_bytes(std::span(tables[i].values)), crc);
  }
  tables[0].values[0] = crc;
  fuzz::accepts([&] {
    const storage::ShardIndex index = storage::index_of(tables);
    const auto again = storage::tables_of(index);  // whatever is read can be written
    fuzz::require(again.size() >= index.tensors.size() + 2);
  });
  return 0;
}
