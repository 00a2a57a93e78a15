#include "storage/image_walk.hpp"

#include "cairn/error.hpp"
#include "storage/dataset_names.hpp"
#include "storage/hdf5.hpp"
#include "storage/hdf5_types.hpp"
#include "storage/hdf5_walk.hpp"

namespace cairn::storage {
namespace {

class Walk {
 public:
  Walk(hid_t file, const Record& record) : file_(file), record_(record) {}

  std::vector<PlacedTensor> run();

 private:
  void visit(const FoundObject& found);
  [[nodiscard]] PlacedTensor read_dataset(hid_t dataset, const std::string& path) const;
  [[nodiscard]] DType read_type(hid_t dataset, const std::string& path) const;
  [[nodiscard]] std::uint64_t read_place(hid_t dataset, std::uint64_t bytes,
                                         const std::string& path) const;

  hid_t file_;
  const Record& record_;
  const Hdf5Types types_;
  std::vector<PlacedTensor> tensors_;
};

std::vector<PlacedTensor> Walk::run() {
  walk_links(
      file_, record_.head_bytes,
      [](const std::string& path) { return path == kOwnGroup || path == kInfoGroup; },
      [this](const FoundObject& found) { visit(found); });
  return std::move(tensors_);
}

void Walk::visit(const FoundObject& found) {
  if (H5Iget_type(found.id) != H5I_DATASET) {
    refuse_object(found.path, "is neither a group nor a dataset");
  }
  tensors_.push_back(read_dataset(found.id, found.path));
}

void check_storage(hid_t dataset, const std::string& path) {
  const H5PropertyList creation(
      checked(H5Dget_create_plist(dataset), "read the properties of", path));
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS) refuse_object(path, "is not contiguous");
  if (H5Pget_external_count(creation.get()) != 0)
    refuse_object(path, "has its values in other files");
  if (H5Pget_nfilters(creation.get()) != 0) refuse_object(path, "has filters");
}

PlacedTensor Walk::read_dataset(hid_t dataset, const std::string& path) const {
  check_storage(dataset, path);
  PlacedTensor tensor;
  tensor.name = name_of_path(path);
  tensor.dtype = read_type(dataset, path);
  const auto shape = shape_of(dataset, path);
  if (!shape) refuse_object(path, "has no shape");
  tensor.shape = *shape;
  tensor.offset = read_place(dataset, checked_bytes(tensor.shape, tensor.dtype, path), path);
  return tensor;
}

DType Walk::read_type(hid_t dataset, const std::string& path) const {
  const H5Datatype type(checked(H5Dget_type(dataset), "read the type of", path));
  const auto dtype = types_.dtype_of(type.get());
  if (!dtype) refuse_object(path, "has a type that no tensor has");
  return *dtype;
}

std::uint64_t Walk::read_place(hid_t dataset, std::uint64_t bytes, const std::string& path) const {
  if (bytes == 0) return kNoOffset;
  const std::uint64_t stored = H5Dget_storage_size(dataset);
  if (stored != bytes) {
    refuse_object(
        path, "has " + std::to_string(stored) + " bytes stored, expected " + std::to_string(bytes));
  }
  const std::uint64_t offset = H5Dget_offset(dataset);
  if (offset < record_.head_bytes || offset > record_.tail_offset ||
      bytes > record_.tail_offset - offset) {
    refuse_object(path, "lies at offset " + std::to_string(offset) + " with " +
                            std::to_string(bytes) + " bytes, outside of the body from " +
                            std::to_string(record_.head_bytes) + " to " +
                            std::to_string(record_.tail_offset));
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
