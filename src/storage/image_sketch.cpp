#include "storage/image_sketch.hpp"

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

constexpr const char* kPrepare = "prepare the layout";

H5PropertyList make_list(hid_t list_class) {
  return H5PropertyList(checked(H5Pcreate(list_class), kPrepare));
}

/// Objects without times, so that equal structures give equal bytes.
H5PropertyList make_timeless(hid_t list_class) {
  H5PropertyList list = make_list(list_class);
  checked(H5Pset_obj_track_times(list.get(), false), kPrepare);
  return list;
}

H5PropertyList make_dataset_creation() {
  H5PropertyList list = make_timeless(H5P_DATASET_CREATE);
  checked(H5Pset_layout(list.get(), H5D_CONTIGUOUS), kPrepare);
  checked(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY), kPrepare);
  checked(H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER), kPrepare);
  return list;
}

/// The strategy: space is only ever taken at the end. With HDF5's default one, small datasets move
/// into the gaps before aligned ones, out of order.
H5PropertyList make_file_creation() {
  H5PropertyList list = make_timeless(H5P_FILE_CREATE);
  checked(H5Pset_file_space_strategy(list.get(), H5F_FSPACE_STRATEGY_AGGR, false, 1), kPrepare);
  return list;
}

/// The stdio driver: HDF5's default one asks for the real path of a link, which a file without a
/// name has not.
H5PropertyList make_file_access(std::uint64_t head_bytes) {
  H5PropertyList list = make_list(H5P_FILE_ACCESS);
  // The default of 1.10; newer releases begin with a later format, which head_reader does not know.
  checked(H5Pset_libver_bounds(list.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST), kPrepare);
  checked(H5Pset_fapl_stdio(list.get()), kPrepare);
  checked(H5Pset_meta_block_size(list.get(), head_bytes), kPrepare);
  checked(H5Pset_small_data_block_size(list.get(), 0), kPrepare);
  checked(H5Pset_alignment(list.get(), kAlignedFrom, kDatasetAlignment), kPrepare);
  return list;
}

H5File make_file(const ScratchFile& scratch, std::uint64_t head_bytes) {
  const H5PropertyList creation = make_file_creation();
  const H5PropertyList access = make_file_access(head_bytes);
  const std::string path = scratch.path();
  return H5File(checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()),
                        "create the layout in", path));
}

H5Dataspace make_space(std::span<const std::uint64_t> shape, const std::string& path) {
  if (shape.empty()) {
    return H5Dataspace(checked(H5Screate(H5S_SCALAR), "make the dataspace of", path));
  }
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  return H5Dataspace(
      checked(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
              "make the dataspace of", path));
}

}  // namespace

ImageSketch::ImageSketch(std::uint64_t head_bytes)
    : group_creation_(make_timeless(H5P_GROUP_CREATE)),
      dataset_creation_(make_dataset_creation()),
      file_(make_file(scratch_, head_bytes)),
      head_bytes_(head_bytes),
      end_(head_bytes) {}

void ImageSketch::add_group(const std::string& path) {
  const H5Group group(checked(
      H5Gcreate2(file_.get(), path.c_str(), H5P_DEFAULT, group_creation_.get(), H5P_DEFAULT),
      "create the group", path));
}

std::uint64_t ImageSketch::add_dataset(const std::string& path, hid_t type,
                                       std::span<const std::uint64_t> shape) {
  const H5Dataspace space = make_space(shape, path);
  const H5Dataset dataset(checked(H5Dcreate2(file_.get(), path.c_str(), type, space.get(),
                                             H5P_DEFAULT, dataset_creation_.get(), H5P_DEFAULT),
                                  "create the dataset", path));
  const std::uint64_t bytes = element_count(shape) * H5Tget_size(type);
  if (bytes == 0) return kNoOffset;
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) throw_hdf5_error("place the dataset", path);
  note_place(offset, bytes);
  return offset;
}

void ImageSketch::note_place(std::uint64_t offset, std::uint64_t bytes) {
  if (offset < end_ || offset - end_ >= kDatasetAlignment) in_order_ = false;
  end_ = offset + bytes;
}

bool ImageSketch::finish() {
  checked(H5Fclose(file_.release()), "complete the layout");
  // Where metadata was put between or behind the datasets, one of these shows it.
  return in_order_ && scratch_.file().size() == end_ && !scratch_.has_data_from(head_bytes_);
}

}  // namespace cairn::storage
