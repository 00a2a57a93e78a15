#include "storage/library_walk.hpp"

#include "storage/dataset_names.hpp"
#include "storage/hdf5.hpp"
#include "storage/hdf5_types.hpp"
#include "storage/hdf5_walk.hpp"

namespace cairn::testing {
namespace {

using namespace cairn::storage;

bool is_own(const std::string& path) { return path.starts_with(std::string(kOwnGroup) + '/'); }

PlacedTensor read_dataset(const FoundObject& found, const Hdf5Types& types) {
  const std::string info_group = std::string(kInfoGroup) + '/';
  PlacedTensor tensor;
  std::string_view path = found.path;
  if (path.starts_with(info_group)) {
    tensor.family = Family::append_info;
    path.remove_prefix(info_group.size());
  }
  tensor.name = name_of_path(path);
  const H5Datatype type(checked(H5Dget_type(found.id), "read the type of", found.path));
  tensor.is_text = H5Tget_class(type.get()) == H5T_STRING;
  tensor.dtype = tensor.is_text ? DType::uint8 : types.dtype_of(type.get()).value();
  tensor.shape = shape_of(found.id, found.path).value();
  if (tensor.is_text) tensor.shape = {H5Tget_size(type.get())};
  tensor.offset = H5Dget_storage_size(found.id) == 0 ? kNoOffset : H5Dget_offset(found.id);
  return tensor;
}

H5File open_head(const ScratchFile& head) {
  const H5PropertyList access(checked(H5Pcreate(H5P_FILE_ACCESS), "prepare reading"));
  checked(H5Pset_fapl_stdio(access.get()), "prepare reading");
  const std::string path = head.path();
  return H5File(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open the head"));
}

}  // namespace

std::vector<PlacedTensor> walk_with_library(const ScratchFile& head) {
  const Hdf5Lock lock;
  const H5File file = open_head(head);
  const Hdf5Types types;
  std::vector<PlacedTensor> tensors;
  walk_links(file.get(), head.file().size(), [&](const FoundObject& found) {
    if (!is_own(found.path)) tensors.push_back(read_dataset(found, types));
  });
  return tensors;
}

}  // namespace cairn::testing
