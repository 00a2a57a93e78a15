// Writes what the fuzzers begin with: usage: fuzz_seeds DIRECTORY. One folder per target, made of
// what Cairn itself writes.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "fuzz/index_names.hpp"
#include "storage/head_reader.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/lone_shard.hpp"
#include "storage/sample_image.hpp"
#include "storage/shard_tables.hpp"

namespace {

using namespace cairn;
using namespace cairn::storage;
using cairn::testing::sample_record;
using cairn::testing::sorted;
using cairn::testing::tensors_of_every_dtype;

/// The bytes of one seed.
class Seed {
 public:
  template <std::integral T>
  Seed& number(T value) {
    return bytes(std::as_bytes(std::span(&value, 1)));
  }
  Seed& bytes(std::span<const std::byte> more) {
    bytes_.append(reinterpret_cast<const char*>(more.data()), more.size());
    return *this;
  }
  void write(const std::filesystem::path& directory, const std::string& name) const {
    std::filesystem::create_directories(directory);
    std::ofstream out(directory / name, std::ios::binary);
    if (!(out << bytes_)) throw std::runtime_error("cannot write " + (directory / name).string());
  }

 private:
  std::string bytes_;
};

/// Without most of the zeros that fill its last block. (The last object's own zeros are fewer.)
std::span<const std::byte> used(std::span<const std::byte> head) {
  constexpr std::size_t kMargin = 512;
  std::size_t length = head.size();
  while (length > 0 && head[length - 1] == std::byte{0}) --length;
  return head.first(std::min(length + kMargin, head.size()));
}

void write_image_seeds(const std::filesystem::path& root, const std::string& name,
                       const std::vector<TensorInfo>& tensors,
                       const Record& with = sample_record()) {
  const ImageLayout layout = lay_out(sorted(tensors), 65'536);
  const std::vector<std::byte> tail = make_tail(layout, with);
  const auto record = std::span(tail).last<kRecordBytes>();
  (void)read_head(used(layout.head), decode_record(record, name));  // a seed is in order
  Seed head;
  const std::uint64_t maps_bit = with.has_maps() ? std::uint64_t{1} << 63U : 0;
  head.number(layout.head_bytes).number(layout.tail_offset).number(layout.table_entries | maps_bit);
  head.number(layout.image_bytes).bytes(used(layout.head)).write(root / "fuzz_head", name);
  constexpr std::size_t kPageBytes = 1297;
  for (const int flags : {3, 7}) {
    Seed image;
    image.number(static_cast<std::uint8_t>(flags)).bytes(record.first(kPageBytes)).bytes(used(layout.head));
    image.write(root / "fuzz_image", name + std::to_string(flags));
  }
  Seed page;
  page.number(std::uint8_t{3}).bytes(record).write(root / "fuzz_record", name);
}

/// What `full` says of itself and of the tables of MapParameters, and an increment on it.
Record increment_on(const Record& full) {
  Record record = full;
  ++record.sequence;
  record.required_features = "map_parameter increment";
  record.chain = {full.sequence, 1, 300, "CKP_2-3_100.h5", digest_of(full)};
  return record;
}

/// A map of that many entries.
void add_map(std::vector<TensorInfo>& tensors, const std::string& name, DType keys,
             std::uint64_t entries) {
  constexpr Family kMap = Family::map_parameter;
  tensors.push_back({name + "/default_row", DType::float32, {3}, kMap});
  tensors.push_back({name + "/keys", keys, {entries}, kMap});
  tensors.push_back({name + "/statuses", DType::uint8, {entries}, kMap});
  tensors.push_back({name + "/values", DType::float32, {entries, 3}, kMap});
}

void write_map_seeds(const std::filesystem::path& root) {
  Record full = sample_record();
  full.required_features = kMapFeature;
  full.chain.map_bytes = 900;
  std::vector<TensorInfo> tensors{{"w", DType::float32, {3}}};
  add_map(tensors, "emb", DType::int64, 7);
  write_image_seeds(root, "map", tensors, full);
  add_map(tensors, "a/b", DType::int32, 0);
  write_image_seeds(root, "increment", tensors, increment_on(full));
}

/// The end of an image that could be a sealed one's, under each mode and set of flags.
void write_sealed_seeds(const std::filesystem::path& root) {
  const ImageLayout layout = lay_out({}, 65'536);
  const std::vector<std::byte> tail = make_tail(layout, sample_record());
  for (std::uint8_t mode = 0; mode < 3; ++mode) {
    for (const int flags : {0, 6, 7, 15, 23}) {
      Seed seed;
      seed.number(static_cast<std::uint8_t>(flags)).number(mode);
      seed.number(static_cast<std::uint32_t>(layout.image_bytes - kSmallestImage));
      seed.number(std::int8_t{-1}).bytes(tail);
      seed.write(root / "fuzz_tag_table", std::to_string(mode) + "-" + std::to_string(flags));
    }
    SealedHeader header;
    header.mode = static_cast<EncMode>(mode + 1);
    header.image_bytes = layout.image_bytes;
    header.block_bytes = layout.block_bytes;
    const Key key(std::vector<std::byte>(16, std::byte{7}));
    for (const Record& record : {sample_record(), increment_on(sample_record())}) {
      header.identity = record;
      header.required_features = record.required_features;
      header.blocks_begin = record.chain.is_increment() ? header.block_bytes : kHeaderBytes;
      Seed page;
      page.number(std::uint8_t{3});
      page.bytes(encode_header(header, codec::Seal(key, header.mode, header.file_id)));
      page.write(root / "fuzz_sealed_header",
                 std::to_string(mode) + (record.chain.is_increment() ? "-increment" : ""));
    }
  }
}

void write_index_seed(const std::filesystem::path& root, const std::string& name,
                      const ShardIndex& index) {
  Seed seed;
  const std::vector<IndexTable> tables = tables_of(index);
  Family family = Family::parameter;
  for (std::size_t i = 1; i < tables.size(); ++i) {
    if (tables[i].info.name == "checksum") continue;
    const auto at = std::ranges::find(cairn::fuzz::kIndexNames, tables[i].info.name);
    auto which = static_cast<unsigned>(at - cairn::fuzz::kIndexNames.begin());
    if (tables[i].info.family != family) {
      family = tables[i].info.family;
      which |= family == Family::append_info ? cairn::fuzz::kBeginsInfo : cairn::fuzz::kBeginsMaps;
    }
    seed.number(static_cast<std::uint8_t>(which));
    for (const std::uint64_t extent : tables[i].info.shape) {
      seed.number(static_cast<std::uint8_t>(extent));
    }
    seed.bytes(std::as_bytes(std::span(tables[i].values)));
  }
  seed.write(root / "fuzz_index", name);
}

void write_index_seeds(const std::filesystem::path& root) {
  ShardIndex index;
  index.shards = {{4096, 7}, {8192, 9}};
  index.tensors.push_back({{"a", DType::float32, {4, 6}},
                           {{0, {{0, 0}, {4, 2}}}, {1, {{0, 2}, {4, 3}}}, {1, {{0, 5}, {4, 1}}}}});
  index.tensors.push_back({{"b", DType::boolean, {}}, {{1, {}}}});
  write_index_seed(root, "two", index);
  ShardIndex with_info = index;
  with_info.tensors.push_back(
      {{"a", DType::uint8, {5}, Family::append_info, true}, {{1, {{0}, {5}}}}});
  write_index_seed(root, "info", with_info);
  std::vector<TensorInfo> map;
  add_map(map, "m", DType::int64, 5);
  for (const TensorInfo& tensor : map) {
    const Box whole{Shape(tensor.shape.size(), 0), tensor.shape};
    with_info.tensors.push_back({tensor, {{0, whole}}});
  }
  write_index_seed(root, "maps", with_info);
  index.tensors[0] = {{"a", DType::int8, Shape(32, 2)}, {{0, {Shape(32, 0), Shape(32, 2)}}}};
  write_index_seed(root, "deep", index);
}

void write_name_seeds(const std::filesystem::path& root) {
  int number = 0;
  for (const std::string path : {"w", "a/b", "%", "%%", "%/%25", "%2E%2E/x%00y%", "%2Ecairn/x"}) {
    Seed seed;
    seed.bytes(std::as_bytes(std::span(path.data(), path.size())));
    seed.write(root / "fuzz_names", std::to_string(number++));
  }
}

void write_lone_seeds(const std::filesystem::path& root) {
  const auto write = [&](const std::string& name, const Shape& extents, const std::string& text) {
    Seed seed;
    seed.number(std::uint8_t{0}).number(static_cast<std::uint8_t>(extents.size()));
    for (const std::uint64_t extent : extents) seed.number(static_cast<std::uint8_t>(extent));
    seed.bytes(std::as_bytes(std::span(text.data(), text.size())));
    seed.write(root / "fuzz_lone", name);
  };
  write("scalar", {}, lone_piece_name("step", {}, {}));
  write("box", {4, 1}, lone_piece_name("a[b]", {{0, 3}, {4, 1}}, {4096, 4}));
  write("empty", {0}, lone_piece_name("w", {{9}, {0}}, {9}));
  Record record;
  put_mark({2, 4, {7, 0x0123456789abcdef}, true}, record);
  write("mark", {}, record.optional_features);
  for (const bool sealed : {false, true}) {
    const policy::LoneName name{"CKP_2", 3, 100, 2, 4, sealed};
    write(sealed ? "sealed" : "file", {}, policy::format(name));
  }
}

void write_all(const std::filesystem::path& root) {
  write_image_seeds(root, "empty", {});
  write_image_seeds(root, "one", {{"w", DType::float32, {3, 5}}});
  write_image_seeds(root, "nested",
                    {{"a/b/c", DType::complex64, {2}},
                     {"a/d", DType::boolean, {}},
                     {"a", DType::bfloat16, {0, 7}}});
  write_image_seeds(root, "types", tensors_of_every_dtype());
  write_image_seeds(root, "info", cairn::testing::tensors_with_info());
  std::vector<TensorInfo> many;  // a tree of two levels
  for (int i = 0; i < 150; ++i) many.push_back({std::to_string(i), DType::int8, {2}});
  write_image_seeds(root, "many", many);
  write_sealed_seeds(root);
  write_map_seeds(root);
  write_index_seeds(root);
  write_lone_seeds(root);
  write_name_seeds(root);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_seeds DIRECTORY\n";
    return 2;
  }
  try {
    write_all(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
