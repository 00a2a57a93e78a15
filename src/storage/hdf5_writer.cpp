#include "storage/hdf5_writer.hpp"

#include <vector>

#include "cairn/error.hpp"
#include "storage/hdf5.hpp"
#include "storage/hdf5_types.hpp"

namespace cairn::storage {
namespace {

constexpr const char* kPrepare = "prepare a collective write";

H5File open_together(const std::string& path, MPI_Comm comm) {
  const H5PropertyList access(checked(H5Pcreate(H5P_FILE_ACCESS), kPrepare));
  checked(H5Pset_fapl_mpio(access.get(), comm, MPI_INFO_NULL), kPrepare);
  return H5File(
      checked(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), "open for all ranks", path));
}

H5PropertyList make_transfer() {
  H5PropertyList transfer(checked(H5Pcreate(H5P_DATASET_XFER), kPrepare));
  checked(H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE), kPrepare);
  return transfer;
}

/// A memory type that equals the file's converts nothing.
void check_type(hid_t dataset, hid_t type, const TensorInfo& tensor, const std::string& path) {
  const H5Datatype stored(checked(H5Dget_type(dataset), "read the type of", path));
  if (checked(H5Tequal(stored.get(), type), "compare types") > 0) return;
  throw Error(ErrorCode::mismatch, "the dataset '" + path + "' does not hold elements of type " +
                                       std::string(to_string(tensor.dtype)));
}

void check_box(hid_t space, hid_t type, const Shape& offset, const Shape& extent,
               std::size_t bytes, const std::string& path) {
  const int rank = checked(H5Sget_simple_extent_ndims(space), "read the shape of", path);
  const auto dimensions = static_cast<std::size_t>(rank);
  if (offset.size() == dimensions && extent.size() == dimensions &&
      element_count(extent) * H5Tget_size(type) == bytes) {
    return;
  }
  throw Error(ErrorCode::invalid_argument, std::to_string(bytes) + " bytes for the box " +
                                               to_string(extent) + " at " + to_string(offset) +
                                               " of the dataset '" + path + "' with " +
                                               std::to_string(rank) + " dimensions");
}

void select_box(hid_t space, const Shape& offset, const Shape& extent, const std::string& path) {
  if (extent.empty()) return;  // a scalar is selected as it is
  const std::vector<hsize_t> start(offset.begin(), offset.end());
  const std::vector<hsize_t> count(extent.begin(), extent.end());
  checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
          "select a box of", path);
}

H5Dataspace make_memory_space(std::uint64_t elements) {
  const hsize_t count = elements;
  return H5Dataspace(checked(H5Screate_simple(1, &count, nullptr), kPrepare));
}

}  // namespace

struct Hdf5Writer::Handles {
  H5File file;
  H5PropertyList transfer;
  Hdf5Types types;
};

Hdf5Writer::Hdf5Writer(const std::filesystem::path& path, MPI_Comm comm) {
  const Hdf5Lock lock;
  handles_ = std::make_unique<Handles>(
      Handles{open_together(path.string(), comm), make_transfer(), Hdf5Types()});
}

Hdf5Writer::Hdf5Writer(Hdf5Writer&&) noexcept = default;

Hdf5Writer& Hdf5Writer::operator=(Hdf5Writer&& other) noexcept {
  const Hdf5Lock lock;
  handles_ = std::move(other.handles_);
  return *this;
}

Hdf5Writer::~Hdf5Writer() {
  if (handles_ == nullptr) return;
  const Hdf5Lock lock;
  handles_.reset();
}

void Hdf5Writer::write(const std::string& dataset_path, const TensorInfo& tensor,
                       const Shape& offset, const Shape& extent,
                       std::span<const std::byte> packed) {
  const Hdf5Lock lock;
  // To HDF5 a text is one element.
  const H5Datatype text = tensor.is_text ? text_type(tensor.shape.at(0)) : H5Datatype();
  const hid_t type = tensor.is_text ? text.get() : handles_->types.of(tensor.dtype);
  const H5Dataset dataset(checked(H5Dopen2(handles_->file.get(), dataset_path.c_str(), H5P_DEFAULT),
                                  "open", dataset_path));
  check_type(dataset.get(), type, tensor, dataset_path);
  const H5Dataspace space(checked(H5Dget_space(dataset.get()), "read the shape of", dataset_path));
  // The same answer on all ranks; HDF5 fails to write nothing to nowhere collectively.
  if (H5Sget_simple_extent_npoints(space.get()) == 0) return;
  const H5Dataspace memory = make_memory_space(packed.size() / H5Tget_size(type));
  if (packed.empty()) {
    checked(H5Sselect_none(space.get()), kPrepare);
    checked(H5Sselect_none(memory.get()), kPrepare);
  } else {
    const Shape at = tensor.is_text ? Shape{} : offset;
    const Shape count = tensor.is_text ? Shape{} : extent;
    check_box(space.get(), type, at, count, packed.size(), dataset_path);
    select_box(space.get(), at, count, dataset_path);
  }
  checked(H5Dwrite(dataset.get(), type, memory.get(), space.get(), handles_->transfer.get(),
                   packed.data()),
          "write to", dataset_path);
}

bool Hdf5Writer::was_collective() const {
  const Hdf5Lock lock;
  H5D_mpio_actual_io_mode_t mode = H5D_MPIO_NO_COLLECTIVE;
  checked(H5Pget_mpio_actual_io_mode(handles_->transfer.get(), &mode), "tell how it wrote");
  return mode == H5D_MPIO_CONTIGUOUS_COLLECTIVE;
}

void Hdf5Writer::finish() {
  const Hdf5Lock lock;
  checked(H5Fclose(handles_->file.release()), "close the file");
  handles_.reset();
}

}  // namespace cairn::storage
