// Foreign files are hostile until looked at. HDF5 has to parse them (they have no checksum that
// could be checked before), but what it says is believed only as far as it was checked:
//
// 1. Links are walked by hand: hard ones only, each object once, no deeper than kDeepestGroup.
// 2. Values are in this file: no external storage, no virtual datasets.
// 3. Sizes are possible: shapes fit into 62 bits, what is stored in one piece has the shape's size
//    and lies in the file, a chunk has at most kLargestChunk bytes.
// 4. Only HDF5's own filters run: an id that is not theirs would load code from a plugin directory.
// 5. Datasets are read by address, and once more found to be what the walk saw.
#include "storage/foreign_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "cairn/error.hpp"
#include "storage/dataset_names.hpp"
#include "storage/hdf5.hpp"
#include "storage/hdf5_types.hpp"
#include "storage/hdf5_walk.hpp"
#include "storage/image_format.hpp"
#include "storage/posix_file.hpp"
#include "storage/record_fields.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

/// HDF5 holds a whole chunk in memory to decode it.
constexpr std::uint64_t kLargestChunk = std::uint64_t{1} << 30;
/// HDF5's own default for the chunks that it keeps of a dataset.
constexpr std::uint64_t kSmallestChunkCache = std::uint64_t{1} << 20;

constexpr std::array<unsigned char, 8> kSignature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
constexpr std::uint64_t kFirstUserBlock = 512;

template <class Expected>
bool stands_at(const PosixFile& file, std::uint64_t offset, const Expected& expected) {
  std::array<std::byte, 8> found{};
  static_assert(sizeof(kSignature) == sizeof(found));
  if (file.size() < offset + found.size()) return false;
  file.read(found, offset);
  return std::memcmp(found.data(), expected.data(), found.size()) == 0;
}

/// At the begin, or after a user block of 512, 1024, 2048, … bytes.
bool has_signature(const PosixFile& file) {
  if (stands_at(file, 0, kSignature)) return true;
  for (std::uint64_t at = kFirstUserBlock; at < file.size(); at *= 2) {
    if (stands_at(file, at, kSignature)) return true;
  }
  return false;
}

bool ends_with_record(const PosixFile& file) {
  static_assert(kRecordMagic.size() == 8);
  return file.size() >= kRecordBytes && stands_at(file, file.size() - kRecordBytes, kRecordMagic);
}

/// Without locks: many parallel file systems have none, and MPI-IO asks for none either.
H5File open_alone(const std::filesystem::path& path) {
  const H5PropertyList access(checked(H5Pcreate(H5P_FILE_ACCESS), "prepare reading"));
  checked(H5Pset_fapl_sec2(access.get()), "prepare reading");
  checked(H5Pset_file_locking(access.get(), false, true), "prepare reading");
  return H5File(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open it"));
}

bool has_own_group(const std::filesystem::path& path) {
  const Hdf5Lock lock;
  try {
    const H5File file = open_alone(path);
    const std::string own(kOwnGroup);
    return checked(H5Lexists(file.get(), own.c_str(), H5P_DEFAULT), "look into it") > 0;
  } catch (const Error& error) {
    throw Error(ErrorCode::damaged,
                path.string() +
                    " begins as HDF5 does, but has no record of a Cairn checkpoint at "
                    "its end (cut short or extended?), and as a file of others: " +
                    error.what());
  }
}

/// What a type that no tensor has is, in words.
std::string describe(hid_t type) {
  const std::string bytes = std::to_string(H5Tget_size(type)) + " bytes";
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return "integers of " + bytes;
    case H5T_FLOAT:
      return "floats of " + bytes + " in another format";
    case H5T_STRING:
      return "strings";
    case H5T_BITFIELD:
      return "bit fields";
    case H5T_OPAQUE:
      return "opaque bytes";
    case H5T_COMPOUND:
      return "compounds of " + bytes;
    case H5T_REFERENCE:
      return "references";
    case H5T_ENUM:
      return "an enumeration that is not h5py's bool";
    case H5T_VLEN:
      return "sequences of variable length";
    case H5T_ARRAY:
      return "arrays";
    default:
      return "a type that Cairn does not know";
  }
}

/// How the values of a dataset are stored.
struct Storage {
  H5D_layout_t layout;
  Shape chunk;         ///< empty: not chunked
  std::string filter;  ///< the first filter that is not HDF5's own; empty: none
};

bool is_own_filter(H5Z_filter_t id) {
  return id >= H5Z_FILTER_DEFLATE && id <= H5Z_FILTER_SCALEOFFSET && H5Zfilter_avail(id) > 0;
}

std::string foreign_filter(hid_t creation, const std::string& path) {
  const int count = checked(H5Pget_nfilters(creation), "read the filters of", path);
  for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    std::array<char, 64> name{};
    const H5Z_filter_t id = checked(H5Pget_filter2(creation, i, &flags, &values, nullptr,
                                                   name.size() - 1, name.data(), nullptr),
                                    "read the filters of", path);
    if (!is_own_filter(id)) return std::to_string(id) + " (" + name.data() + ")";
  }
  return {};
}

Shape chunk_of(hid_t creation, const std::string& path) {
  std::array<hsize_t, kLargestRank> extents{};
  const int rank = checked(H5Pget_chunk(creation, static_cast<int>(extents.size()), extents.data()),
                           "read the chunk's shape of", path);
  return {extents.begin(), extents.begin() + std::min<std::ptrdiff_t>(rank, kLargestRank)};
}

Storage storage_of(hid_t dataset, const std::string& path) {
  const H5PropertyList list(checked(H5Dget_create_plist(dataset), "read the properties of", path));
  Storage storage{H5Pget_layout(list.get()), {}, foreign_filter(list.get(), path)};
  if (storage.layout == H5D_VIRTUAL) refuse_object(path, "is a virtual dataset, made of others");
  if (H5Pget_external_count(list.get()) != 0) refuse_object(path, "has its values in other files");
  if (storage.layout == H5D_CHUNKED) storage.chunk = chunk_of(list.get(), path);
  return storage;
}

/// What is stored in one piece has its size, and is there.
void check_piece(hid_t dataset, std::uint64_t bytes, std::uint64_t file_bytes,
                 const std::string& path) {
  const std::uint64_t stored = H5Dget_storage_size(dataset);
  if (stored == 0) return;  // never written: all elements are the fill value
  if (stored != bytes) {
    refuse_object(path, "has " + std::to_string(stored) + " bytes stored, its shape needs " +
                            std::to_string(bytes));
  }
  const std::uint64_t offset = H5Dget_offset(dataset);
  if (offset > file_bytes || bytes > file_bytes - offset) {
    refuse_object(path, "lies at offset " + std::to_string(offset) + " with " +
                            std::to_string(bytes) + " bytes, the file has " +
                            std::to_string(file_bytes));
  }
}

/// Bytes of a chunk, decoded.
std::uint64_t checked_chunk(const Shape& chunk, const TensorInfo& tensor) {
  const bool fits = chunk.size() == tensor.shape.size();
  if (!fits || std::ranges::find(chunk, std::uint64_t{0}) != chunk.end()) {
    refuse_object(tensor.name, "has chunks of the impossible shape " + to_string(chunk));
  }
  const std::uint64_t bytes = checked_bytes(chunk, tensor.dtype, tensor.name);
  if (bytes > kLargestChunk) {
    refuse_object(tensor.name, "has chunks of " + std::to_string(bytes) + " bytes, at most " +
                                   std::to_string(kLargestChunk) + " are taken");
  }
  return bytes;
}

class ForeignWalk {
 public:
  ForeignWalk(hid_t file, std::uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}

  ForeignIndex run();

 private:
  void visit(const FoundObject& found);
  void visit_tensor(const FoundObject& found, PlacedTensor tensor, const Storage& storage);
  void leave_out(const std::string& path, std::string why) {
    index_.others.push_back({path, std::move(why)});
  }

  hid_t file_;
  std::uint64_t file_bytes_;
  const Hdf5Types types_;
  ForeignIndex index_;
};

ForeignIndex ForeignWalk::run() {
  walk_links(file_, file_bytes_, [this](const FoundObject& found) { visit(found); });
  std::ranges::sort(index_.tensors, {}, &PlacedTensor::name);
  std::ranges::sort(index_.others, {}, &NoTensor::name);
  return std::move(index_);
}

void ForeignWalk::visit(const FoundObject& found) {
  if (H5Iget_type(found.id) != H5I_DATASET) return leave_out(found.path, "is a type, no dataset");
  const Storage storage = storage_of(found.id, found.path);
  const H5Datatype type(checked(H5Dget_type(found.id), "read the type of", found.path));
  const auto dtype = types_.dtype_in_any_order(type.get());
  const auto shape = shape_of(found.id, found.path);
  if (!dtype) return leave_out(found.path, "holds " + describe(type.get()));
  if (!shape) return leave_out(found.path, "has no shape");
  if (!storage.filter.empty()) {
    return leave_out(found.path,
                     "needs the filter " + storage.filter + ", which is not HDF5's own");
  }
  visit_tensor(found, {{found.path, *dtype, *shape}, found.address}, storage);
}

void ForeignWalk::visit_tensor(const FoundObject& found, PlacedTensor tensor,
                               const Storage& storage) {
  const std::uint64_t bytes = checked_bytes(tensor.shape, tensor.dtype, tensor.name);
  if (storage.layout == H5D_CONTIGUOUS) check_piece(found.id, bytes, file_bytes_, tensor.name);
  if (storage.layout == H5D_CHUNKED) {
    index_.largest_chunk = std::max(index_.largest_chunk, checked_chunk(storage.chunk, tensor));
  }
  index_.tensors.push_back(std::move(tensor));
}

/// A filter of the pipeline found something, as opposed to the system that could not read.
herr_t look_for_filter(unsigned, const H5E_error2_t* entry, void* found) noexcept {
  if (entry->maj_num == H5E_PLINE) *static_cast<bool*>(found) = true;
  return 0;
}

[[noreturn]] void throw_read_error(const std::string& path) {
  bool filter = false;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look_for_filter, &filter);
  try {
    throw_hdf5_error("read", path);
  } catch (const Error& error) {
    throw Error(filter ? ErrorCode::damaged : ErrorCode::io, error.what());
  }
}

/// Where types are equal no conversion has looked at the values.
void check_booleans(const std::byte* values, std::uint64_t count, const std::string& path) {
  const auto* end = values + count;
  if (std::all_of(values, end, [](std::byte b) { return b <= std::byte{1}; })) return;
  throw Error(ErrorCode::damaged,
              "'" + path + "' is of type bool and holds other values than 0 and 1");
}

H5File open_by_mpi(const std::filesystem::path& path, std::uint64_t largest_chunk, MPI_Comm comm) {
  constexpr const char* kPrepare = "prepare reading";
  // HDF5's own defaults, all but the bytes: a chunk that is cut into tiles is decoded once.
  constexpr std::size_t kSlots = 521;
  constexpr double kPreemption = 0.75;
  const H5PropertyList access(checked(H5Pcreate(H5P_FILE_ACCESS), kPrepare));
  checked(H5Pset_fapl_mpio(access.get(), comm, MPI_INFO_NULL), kPrepare);
  checked(H5Pset_cache(access.get(), 0, kSlots, std::max(largest_chunk, kSmallestChunkCache),
                       kPreemption),
          kPrepare);
  return H5File(
      checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "open", path.string()));
}

H5PropertyList make_independent_transfer() {
  H5PropertyList transfer(checked(H5Pcreate(H5P_DATASET_XFER), "prepare reading"));
  checked(H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_INDEPENDENT), "prepare reading");
  return transfer;
}

}  // namespace

bool is_foreign(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  {
    const PosixFile file = PosixFile::open_for_reading(path);
    if (ends_with_record(file) || !has_signature(file)) return false;
  }
  return !has_own_group(path);
}

ForeignIndex read_foreign_index(const std::filesystem::path& path) {
  const std::uint64_t file_bytes = PosixFile::open_for_reading(path).size();
  const Hdf5Lock lock;
  try {
    const H5File file = open_alone(path);
    return ForeignWalk(file.get(), file_bytes).run();
  } catch (const Error& error) {
    // What HDF5 cannot do with the bytes is the bytes' fault.
    throw Error(ErrorCode::damaged, path.string() + ": " + error.what());
  }
}

struct ForeignFile::Handles {
  H5File file;
  H5PropertyList transfer;
  Hdf5Types types;
  // The dataset that is open.
  H5Object dataset{};
  H5Dataspace space{};
  H5Datatype memory_type{};
  PlacedTensor tensor{};
  Shape chunk{};
};

ForeignFile::ForeignFile(const std::filesystem::path& path, std::uint64_t largest_chunk,
                         MPI_Comm comm) {
  const Hdf5Lock lock;
  handles_ = std::make_unique<Handles>(
      Handles{open_by_mpi(path, largest_chunk, comm), make_independent_transfer(), Hdf5Types()});
}

ForeignFile::~ForeignFile() {
  const Hdf5Lock lock;
  handles_.reset();
}

void ForeignFile::open(const PlacedTensor& tensor) {
  const Hdf5Lock lock;
  const std::string& path = tensor.name;
  Handles& h = *handles_;
  h.dataset.reset(checked(H5Oopen_by_addr(h.file.get(), tensor.offset), "open", path));
  if (H5Iget_type(h.dataset.get()) != H5I_DATASET) refuse_object(path, "was changed meanwhile");
  const H5Datatype type(checked(H5Dget_type(h.dataset.get()), "read the type of", path));
  const Storage storage = storage_of(h.dataset.get(), path);
  if (h.types.dtype_in_any_order(type.get()) != tensor.dtype || !storage.filter.empty() ||
      shape_of(h.dataset.get(), path) != tensor.shape) {
    refuse_object(path, "was changed meanwhile");
  }
  h.space.reset(checked(H5Dget_space(h.dataset.get()), "read the shape of", path));
  // A bool of either sign is its byte: no conversion, which would go by the names of the values.
  const bool as_it_is = tensor.dtype == DType::boolean;
  h.memory_type.reset(
      checked(H5Tcopy(as_it_is ? type.get() : h.types.of(tensor.dtype)), "copy the type of", path));
  h.chunk = storage.layout == H5D_CHUNKED ? storage.chunk : Shape(tensor.shape.size(), 1);
  h.tensor = tensor;
}

const Shape& ForeignFile::chunk() const noexcept {
  return handles_->chunk;
}

void ForeignFile::read(const Shape& offset, const Shape& extent, std::byte* packed) const {
  const Hdf5Lock lock;
  const Handles& h = *handles_;
  const std::string& path = h.tensor.name;
  const std::vector<hsize_t> start(offset.begin(), offset.end());
  const std::vector<hsize_t> count(extent.begin(), extent.end());
  if (!count.empty()) {  // a scalar is selected as it is
    checked(H5Sselect_hyperslab(h.space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                                nullptr),
            "select a box of", path);
  }
  const hsize_t elements = element_count(extent);
  const H5Dataspace memory(checked(H5Screate_simple(1, &elements, nullptr), "select memory"));
  if (H5Dread(h.dataset.get(), h.memory_type.get(), memory.get(), h.space.get(), h.transfer.get(),
              packed) < 0) {
    throw_read_error(path);
  }
  if (h.tensor.dtype == DType::boolean) check_booleans(packed, elements, path);
}

}  // namespace cairn::storage
