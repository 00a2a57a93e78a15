// Reading a head, without the HDF5 library: a file forged with good CRCs can make that crash. Of
// HDF5's format this knows what images have, and refuses the rest by name (docs/format.md, HDF5):
//
//   superblock, version 2      → the root group's object header
//   object headers, version 1  head_objects: their messages say what an object is
//   groups of the old kind     head_groups: B-tree, leaves, a heap of names
//   datatypes                  head_types: known by their bytes
//
// 1. Bytes are taken through HeadBytes: inside the head, and each at most once. So whatever refers
//    to whatever, there is no cycle, no object of two names, and no more work than bytes.
// 2. Groups wait in a list: nesting takes no stack.
// 3. A path repeats the names of its groups, so paths have a bound of their own.
#include "storage/head_reader.hpp"

#include <string>
#include <utility>

#include "codec/lookup3.hpp"
#include "storage/dataset_names.hpp"
#include "storage/head_bytes.hpp"
#include "storage/head_groups.hpp"
#include "storage/head_objects.hpp"
#include "storage/image_format.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kSuperblockBytes = 48;
constexpr std::size_t kChecksumAt = 44;

/// The address of the root group's header.
std::uint64_t read_superblock(std::span<const std::byte> head, HeadBytes& bytes,
                              std::uint64_t image_bytes) {
  HeadPiece block = bytes.take(0, kSuperblockBytes, "a superblock", kRootPath);
  block.expect_signature("\x89HDF\r\n\x1A\n", "HDF5's signature");
  block.expect("version", std::uint8_t{2});
  block.expect("size of offsets", std::uint8_t{8});
  block.expect("size of lengths", std::uint8_t{8});
  block.expect("flags", std::uint8_t{0});
  block.expect("base address", std::uint64_t{0});
  (void)block.number<std::uint64_t>();  // the extension, which is about free space
  const auto end = block.number<std::uint64_t>();
  if (end > image_bytes) {
    block.refuse("of a file of " + std::to_string(end) + " bytes, which has " +
                 std::to_string(image_bytes));
  }
  const auto root = block.number<std::uint64_t>();
  block.expect("checksum", codec::lookup3(head.first(kChecksumAt)));
  return root;
}

class HeadWalk {
 public:
  HeadWalk(std::span<const std::byte> head, const Record& record)
      : head_(head),
        bytes_(head),
        record_(record),
        name_bytes_left_(kNameBytesPerHeadByte * head.size()) {}

  std::vector<PlacedTensor> run();

 private:
  struct Group {
    std::string_view name;
    SymbolTable table;
    std::size_t depth;  // of the root 0
    Family family;
  };

  void enter(const Group& group);
  void visit_group(const Group& group);
  void visit_link(const Group& group, const HeadLink& link);
  void add_group(const Group& group, const HeadLink& link, const SymbolTable& table);
  void add_dataset(const HeadObject& dataset, Family family);
  [[nodiscard]] PlacedTensor tensor_of(const HeadObject& dataset, Family family) const;
  void take_text(const HeadObject& dataset, std::uint32_t bytes, PlacedTensor& tensor) const;
  [[nodiscard]] std::uint64_t place_of(const HeadObject& dataset, std::uint64_t bytes) const;
  void visit_own_group(const HeadLink& link);
  void check_own_dataset(const HeadLink& link, std::uint64_t offset, std::uint64_t bytes);
  [[nodiscard]] SymbolTable table_of(const HeadObject& object, const HeadLink& link) const;

  std::span<const std::byte> head_;
  HeadBytes bytes_;
  const Record& record_;
  std::uint64_t name_bytes_left_;
  std::vector<Group> waiting_;
  // Of the object at hand. Its groups' part is never copied: they may be many with long names.
  std::string path_;
  std::vector<std::size_t> prefixes_;  // the part of the path that is the group's, by its depth
  std::vector<PlacedTensor> tensors_;
};

std::vector<PlacedTensor> HeadWalk::run() {
  const std::uint64_t root = read_superblock(head_, bytes_, record_.image_bytes);
  const SymbolTable table = HeadObject(bytes_, root, kRootPath).symbol_table();
  waiting_.push_back({"", table, 0, Family::parameter});
  while (!waiting_.empty()) {
    const Group group = waiting_.back();
    waiting_.pop_back();
    enter(group);
    visit_group(group);
  }
  return std::move(tensors_);
}

/// Makes `path_` what the paths in `group` begin with: nothing, or a text that ends with '/'. What
/// was entered since the group around it is all inside of that: its part of the path is still
/// there.
void HeadWalk::enter(const Group& group) {
  prefixes_.resize(group.depth);
  path_.resize(group.depth == 0 ? 0 : prefixes_.back());
  if (group.depth > 0) path_.append(group.name).append("/");
  prefixes_.push_back(path_.size());
}

void HeadWalk::visit_group(const Group& group) {
  for (const HeadLink& link : read_links(bytes_, group.table, path_)) visit_link(group, link);
}

void HeadWalk::visit_link(const Group& group, const HeadLink& link) {
  path_.resize(prefixes_.back());
  path_.append(link.name);
  if (path_ == kOwnGroup) return visit_own_group(link);
  const HeadObject object(bytes_, link.address, path_);
  if (object.is_group()) return add_group(group, link, table_of(object, link));
  if (!object.is_dataset()) refuse_object(path_, "is neither a group nor a dataset");
  if (link.cached) refuse_object(path_, "is a dataset that its link calls a group");
  add_dataset(object, group.family);
}

/// A link may repeat where its group has its links; HDF5 looks there first.
SymbolTable HeadWalk::table_of(const HeadObject& object, const HeadLink& link) const {
  const SymbolTable table = object.symbol_table();
  if (object.is_dataset()) refuse_object(path_, "is both a group and a dataset");
  if (link.cached && *link.cached != table) {
    refuse_object(path_, "is a group whose link and header say different things");
  }
  return table;
}

void HeadWalk::add_group(const Group& group, const HeadLink& link, const SymbolTable& table) {
  if (group.depth == kDeepestGroup) {
    refuse_object(path_, "lies deeper than " + std::to_string(kDeepestGroup) + " groups");
  }
  Family family = group.family;
  if (path_ == kInfoGroup) family = Family::append_info;
  if (path_ == kMapGroup && record_.has_maps()) family = Family::map_parameter;
  waiting_.push_back({link.name, table, group.depth + 1, family});
}

void HeadWalk::add_dataset(const HeadObject& dataset, Family family) {
  if (path_.size() > name_bytes_left_) {
    refuse_object(path_, "and the paths before it are longer together than " +
                             std::to_string(kNameBytesPerHeadByte) + " times the head");
  }
  name_bytes_left_ -= path_.size();
  PlacedTensor tensor = tensor_of(dataset, family);
  tensor.offset = place_of(dataset, checked_bytes(tensor.shape, tensor.dtype, path_));
  tensors_.push_back(std::move(tensor));
}

PlacedTensor HeadWalk::tensor_of(const HeadObject& dataset, Family family) const {
  PlacedTensor tensor;
  tensor.family = family;
  std::string_view path = path_;
  if (family == Family::append_info) path.remove_prefix(kInfoGroup.size() + 1);
  if (family == Family::map_parameter) path.remove_prefix(kMapGroup.size() + 1);
  tensor.name = name_of_path(path, record_.has_maps());
  if (const auto bytes = dataset.text_bytes(); bytes && family == Family::append_info) {
    take_text(dataset, *bytes, tensor);
    return tensor;
  }
  tensor.dtype = dataset.dtype();
  tensor.shape = dataset.shape();
  return tensor;
}

void HeadWalk::take_text(const HeadObject& dataset, std::uint32_t bytes,
                         PlacedTensor& tensor) const {
  if (bytes > kLongestText) {
    refuse_object(path_, "is a text of " + std::to_string(bytes) + " bytes, at most " +
                             std::to_string(kLongestText) + " are taken");
  }
  if (const Shape shape = dataset.shape(); !shape.empty()) {
    refuse_object(path_, "is a text of the shape " + to_string(shape) + ", expected a scalar");
  }
  tensor.is_text = true;
  tensor.dtype = DType::uint8;
  tensor.shape = {bytes};
}

std::uint64_t HeadWalk::place_of(const HeadObject& dataset, std::uint64_t bytes) const {
  const StoredValues values = dataset.values();
  if (values.bytes != bytes) {
    refuse_object(path_, "has " + std::to_string(values.bytes) + " bytes stored, expected " +
                             std::to_string(bytes));
  }
  if (bytes == 0) return kNoOffset;
  if (values.offset < record_.head_bytes || values.offset > record_.tail_offset ||
      bytes > record_.tail_offset - values.offset) {
    refuse_object(path_, "lies at offset " + std::to_string(values.offset) + " with " +
                             std::to_string(bytes) + " bytes, outside of the body from " +
                             std::to_string(record_.head_bytes) + " to " +
                             std::to_string(record_.tail_offset));
  }
  return values.offset;
}

/// What lies in it is found by the record. Others look into the datasets, so those are where the
/// record says.
void HeadWalk::visit_own_group(const HeadLink& link) {
  const HeadObject object(bytes_, link.address, path_);
  if (!object.is_group()) refuse_object(path_, "is not a group");
  const SymbolTable table = table_of(object, link);
  const std::string prefix = path_ + '/';
  for (const HeadLink& inner : read_links(bytes_, table, prefix)) {
    path_.assign(prefix).append(inner.name);
    if (path_ == kTablePath) {
      check_own_dataset(inner, record_.table_offset, record_.table_entries * kTableEntryBytes);
    } else if (path_ == kRecordPath) {
      check_own_dataset(inner, record_.image_bytes - kRecordBytes, kRecordBytes);
    }
  }
}

void HeadWalk::check_own_dataset(const HeadLink& link, std::uint64_t offset, std::uint64_t bytes) {
  const StoredValues values = HeadObject(bytes_, link.address, path_).values();
  if (values.offset == offset && values.bytes == bytes) return;
  refuse_object(path_, "lies at offset " + std::to_string(values.offset) + " with " +
                           std::to_string(values.bytes) + " bytes, expected offset " +
                           std::to_string(offset) + " with " + std::to_string(bytes));
}

}  // namespace

std::vector<PlacedTensor> read_head(std::span<const std::byte> head, const Record& record) {
  return HeadWalk(head, record).run();
}

}  // namespace cairn::storage
