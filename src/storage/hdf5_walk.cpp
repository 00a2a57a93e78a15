#include "storage/hdf5_walk.hpp"

#include <array>
#include <unordered_set>
#include <vector>

#include "cairn/error.hpp"
#include "storage/image_format.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

/// No object of HDF5's is smaller.
constexpr std::uint64_t kSmallestObject = 16;

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
    refuse_object(path, "is not a link name");
  }
  if (link.type == H5L_TYPE_HARD) return;
  const bool soft = link.type == H5L_TYPE_SOFT;
  const bool external = link.type == H5L_TYPE_EXTERNAL;
  refuse_object(path, std::string("is ") +
                          (soft       ? "a soft"
                           : external ? "an external"
                                      : "a user-defined") +
                          " link; only hard ones are taken");
}

class LinkWalk {
 public:
  using Visit = std::function<void(const FoundObject&)>;

  LinkWalk(hid_t file, std::uint64_t most_links, const Visit& visit)
      : file_(file), links_left_(most_links), visit_(visit) {}

  void run();

 private:
  struct Group {
    haddr_t address;
    std::string prefix;  // of the paths of what is in it
    std::size_t depth;
  };

  void visit_group(const Group& group);
  void visit_link(const Group& group, const Link& link);
  [[nodiscard]] H5Object open(haddr_t address, const std::string& path) const;

  hid_t file_;
  std::uint64_t links_left_;
  const Visit& visit_;
  std::vector<Group> waiting_;
  std::unordered_set<haddr_t> seen_;
};

void LinkWalk::run() {
  H5O_info_t root;
  checked(H5Oget_info(file_, &root), "look at the root group");
  seen_.insert(root.addr);
  waiting_.push_back({root.addr, "", 0});
  while (!waiting_.empty()) {
    const Group group = std::move(waiting_.back());
    waiting_.pop_back();
    visit_group(group);
  }
}

void LinkWalk::visit_group(const Group& group) {
  LinkList list{.links = {}, .left = links_left_};
  {
    const H5Object id = open(group.address, group.prefix);
    checked(H5Literate(id.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, take_link, &list),
            "list the group", group.prefix);
  }
  links_left_ = list.left;
  for (const Link& link : list.links) visit_link(group, link);
}

void LinkWalk::visit_link(const Group& group, const Link& link) {
  const std::string path = group.prefix + link.name;
  check_link(link, path);
  if (!seen_.insert(link.address).second) refuse_object(path, "is a second name of an object");
  const H5Object object = open(link.address, path);
  if (H5Iget_type(object.get()) != H5I_GROUP) {
    visit_({object.get(), link.address, path});
    return;
  }
  if (group.depth == kDeepestGroup) {
    refuse_object(path, "lies deeper than " + std::to_string(kDeepestGroup) + " groups");
  }
  waiting_.push_back({link.address, path + '/', group.depth + 1});
}

H5Object LinkWalk::open(haddr_t address, const std::string& path) const {
  return H5Object(checked(H5Oopen_by_addr(file_, address), "open", path));
}

}  // namespace

void walk_links(hid_t file, std::uint64_t bytes,
                const std::function<void(const FoundObject&)>& visit) {
  LinkWalk(file, bytes / kSmallestObject, visit).run();
}

std::optional<Shape> shape_of(hid_t dataset, const std::string& path) {
  const H5Dataspace space(checked(H5Dget_space(dataset), "read the shape of", path));
  const H5S_class_t space_class = H5Sget_simple_extent_type(space.get());
  if (space_class == H5S_SCALAR) return Shape{};
  if (space_class != H5S_SIMPLE) return std::nullopt;
  const int rank = checked(H5Sget_simple_extent_ndims(space.get()), "read the shape of", path);
  if (static_cast<std::size_t>(rank) > kLargestRank) {
    refuse_object(path, "has " + std::to_string(rank) + " dimensions");
  }
  std::array<hsize_t, kLargestRank> extents{};
  checked(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "read the shape of",
          path);
  return Shape(extents.begin(), extents.begin() + rank);
}

}  // namespace cairn::storage
