#include "storage/image_walk.hpp"

#include <algorithm>
#include <unordered_set>

#include "cairn/error.hpp"
#include "storage/dataset_names.hpp"
#include "storage/hdf5.hpp"
#include "storage/hdf5_types.hpp"
#include "storage/image_format.hpp"

namespace cairn::storage {
namespace {

/// No object of HDF5's is smaller; so many links at most can be in a head.
constexpr std::uint64_t kSmallestObject = 16;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::damaged, "'" + path + "' " + why);
}

struct Link {
  std::string name;
  H5L_type_t type;
  haddr_t address;
};

struct LinkList {
  std::vector<Link> links;
  std::uint64_t left;  // how many more are believed
};

/// Called from C: nothing may be thrown through it.
herr_t take_link(hid_t, const char* name, const H5L_info_t* info, void* out) noexcept {
  auto& list = *static_cast<LinkList*>(out);
  if (list.left == 0) return -1;
  --list.left;
  try {
    const haddr_t address = info->type == H5L_TYPE_HARD ? info->u.address : HADDR_UNDEF;
    list.links.push_back({name, info->type, address});
  } catch (...) {
    return -1;
  }
  return 0;
}

void check_link(const Link& link, const std::string& path) {
  if (link.name.empty() || link.name == "." || link.name.find('/') != std::string::npos) {
    refuse(path, "is not a link name");
  }
  if (link.type == H5L_TYPE_HARD) return;
  const bool soft = link.type == H5L_TYPE_SOFT;
  const bool external = link.type == H5L_TYPE_EXTERNAL;
  refuse(path, std::string("is ") +
                   (soft       ? "a soft"
                    : external ? "an external"
                               : "a user-defined") +
                   " link; only hard ones are taken");
}

class Walk {
 public:
  Walk(hid_t file, const Record& record)
      : file_(file), record_(record), links_left_(record.head_bytes / kSmallestObject) {}

  std::vector<PlacedTensor> run();

 private:
  struct Group {
    haddr_t address;
    std::string prefix;  // of the paths of what is in it
    std::size_t depth;
  };

  void visit_group(const Group& group);
  void visit_link(const Group& group, const Link& link);
  void visit_object(const Group& group, haddr_t address, const std::string& path);
  [[nodiscard]] H5Object open(haddr_t address, const std::string& path) const;
  [[nodiscard]] PlacedTensor read_dataset(hid_t dataset, const std::string& path) const;
  [[nodiscard]] DType read_type(hid_t dataset, const std::string& path) const;
  [[nodiscard]] std::uint64_t read_place(hid_t dataset, std::uint64_t bytes,
                                         const std::string& path) const;

  hid_t file_;
  const Record& record_;
  const Hdf5Types types_;
  std::uint64_t links_left_;
  std::vector<Group> waiting_;
  std::unordered_set<haddr_t> seen_;
  std::vector<PlacedTensor> tensors_;
};

std::vector<PlacedTensor> Walk::run() {
  H5O_info_t root;
  checked(H5Oget_info(file_, &root), "look at the root group");
  seen_.insert(root.addr);
  waiting_.push_back({root.addr, "", 0});
  while (!waiting_.empty()) {
    const Group group = std::move(waiting_.back());
    waiting_.pop_back();
    visit_group(group);
  }
  return std::move(tensors_);
}

void Walk::visit_group(const Group& group) {
  LinkList list{.links = {}, .left = links_left_};
  {
    const H5Object id = open(group.address, group.prefix);
    checked(H5Literate(id.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, take_link, &list),
            "list the group", group.prefix);
  }
  links_left_ = list.left;
  for (const Link& link : list.links) visit_link(group, link);
}

void Walk::visit_link(const Group& group, const Link& link) {
  const std::string path = group.prefix + link.name;
  check_link(link, path);
  if (group.depth == 0 && (path == kOwnGroup || path == kInfoGroup)) return;
  if (!seen_.insert(link.address).second) refuse(path, "is a second name of an object");
  visit_object(group, link.address, path);
}

void Walk::visit_object(const Group& group, haddr_t address, const std::string& path) {
  const H5Object object = open(address, path);
  switch (H5Iget_type(object.get())) {
    case H5I_DATASET:
      tensors_.push_back(read_dataset(object.get(), path));
      return;
    case H5I_GROUP:
      if (group.depth == kDeepestGroup) {
        refuse(path, "lies deeper than " + std::to_string(kDeepestGroup) + " groups");
      }
      waiting_.push_back({address, path + '/', group.depth + 1});
      return;
    default:
      refuse(path, "is neither a group nor a dataset");
  }
}

H5Object Walk::open(haddr_t address, const std::string& path) const {
  return H5Object(checked(H5Oopen_by_addr(file_, address), "open", path));
}

void check_storage(hid_t dataset, const std::string& path) {
  const H5PropertyList creation(
      checked(H5Dget_create_plist(dataset), "read the properties of", path));
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS) refuse(path, "is not contiguous");
  if (H5Pget_external_count(creation.get()) != 0) refuse(path, "has its values in other files");
  if (H5Pget_nfilters(creation.get()) != 0) refuse(path, "has filters");
}

Shape read_shape(hid_t dataset, const std::string& path) {
  const H5Dataspace space(checked(H5Dget_space(dataset), "read the shape of", path));
  const H5S_class_t space_class = H5Sget_simple_extent_type(space.get());
  if (space_class == H5S_SCALAR) return {};
  if (space_class != H5S_SIMPLE) refuse(path, "has no shape");
  const int rank = checked(H5Sget_simple_extent_ndims(space.get()), "read the shape of", path);
  if (static_cast<std::size_t>(rank) > kLargestRank) {
    refuse(path, "has " + std::to_string(rank) + " dimensions");
  }
  std::array<hsize_t, kLargestRank> extents{};
  checked(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "read the shape of",
          path);
  return {extents.begin(), extents.begin() + rank};
}

/// Bytes of the values, or a refusal where they do not fit in an image.
std::uint64_t checked_bytes(const Shape& shape, DType dtype, const std::string& path) {
  if (std::ranges::find(shape, std::uint64_t{0}) != shape.end()) return 0;
  std::uint64_t bytes = size_of(dtype);
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > kLargestImage) {
      refuse(path, "has the impossible shape " + to_string(shape));
    }
  }
  return bytes;
}

PlacedTensor Walk::read_dataset(hid_t dataset, const std::string& path) const {
  check_storage(dataset, path);
  PlacedTensor tensor;
  tensor.name = name_of_path(path);
  tensor.dtype = read_type(dataset, path);
  tensor.shape = read_shape(dataset, path);
  tensor.offset = read_place(dataset, checked_bytes(tensor.shape, tensor.dtype, path), path);
  return tensor;
}

DType Walk::read_type(hid_t dataset, const std::string& path) const {
  const H5Datatype type(checked(H5Dget_type(dataset), "read the type of", path));
  const auto dtype = types_.dtype_of(type.get());
  if (!dtype) refuse(path, "has a type that no tensor has");
  return *dtype;
}

std::uint64_t Walk::read_place(hid_t dataset, std::uint64_t bytes, const std::string& path) const {
  if (bytes == 0) return kNoOffset;
  const std::uint64_t stored = H5Dget_storage_size(dataset);
  if (stored != bytes) {
    refuse(path,
           "has " + std::to_string(stored) + " bytes stored, expected " + std::to_string(bytes));
  }
  const std::uint64_t offset = H5Dget_offset(dataset);
  if (offset < record_.head_bytes || offset > record_.tail_offset ||
      bytes > record_.tail_offset - offset) {
    refuse(path, "lies at offset " + std::to_string(offset) + " with " + std::to_string(bytes) +
                     " bytes, outside of the body from " + std::to_string(record_.head_bytes) +
                     " to " + std::to_string(record_.tail_offset));
  }
  return offset;
}

H5File open_head(const ScratchFile& head) {
  const H5PropertyList access(checked(H5Pcreate(H5P_FILE_ACCESS), "prepare reading"));
  checked(H5Pset_fapl_stdio(access.get()), "prepare reading");
  const std::string path = head.path();
  return H5File(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open the head"));
}

}  // namespace

std::vector<PlacedTensor> walk_tensors(const ScratchFile& head, const Record& record) {
  const Hdf5Lock lock;
  const H5File file = open_head(head);
  return Walk(file.get(), record).run();
}

}  // namespace cairn::storage
