#include "baselines/h5_by_hand.hpp"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "baselines/plain_type.hpp"
#include "failure.hpp"

namespace bench {
namespace {

using Extents = std::vector<hsize_t>;

template <class Result>
Result checked(Result result, const std::string& what) {
  if (result < 0) throw std::runtime_error("parallel HDF5 by hand: cannot " + what);
  return result;
}

Extents extents_of(const cairn::Shape& shape) { return {shape.begin(), shape.end()}; }

hid_t make_space(const cairn::Shape& shape) {
  if (shape.empty()) return checked(H5Screate(H5S_SCALAR), "make a space");
  const Extents extents = extents_of(shape);
  return checked(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                 "make a space");
}

class ByHand : public Contestant {
 public:
  ByHand(const World& world, const Workload& workload, const Slices& slices,
         std::filesystem::path path, Transfer transfer)
      : world_(world), workload_(workload), path_(std::move(path)), transfer_(transfer) {
    for (const auto& entry : slices.state().entries()) held_.emplace(entry.name, &entry);
  }

  Sample run() override {
    bool synced = false;
    const Sample sample = timed_together(world_, [&] {
      write();
      synced = sync();
    });
    if (!world_.all(synced)) throw Failure("cannot sync " + path_.string());
    return sample;
  }
  void tidy() override {
    if (world_.is_root()) std::filesystem::remove(path_);
  }

 private:
  void write() const {
    const hid_t access = checked(H5Pcreate(H5P_FILE_ACCESS), "make a list");
    checked(H5Pset_fapl_mpio(access, world_.comm(), MPI_INFO_NULL), "use MPI-IO");
    const hid_t file = checked(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access),
                               "create " + path_.string());
    const hid_t links = checked(H5Pcreate(H5P_LINK_CREATE), "make a list");
    checked(H5Pset_create_intermediate_group(links, 1), "make groups");
    const hid_t move = checked(H5Pcreate(H5P_DATASET_XFER), "make a list");
    checked(H5Pset_dxpl_mpio(move, transfer_ == Transfer::collective ? H5FD_MPIO_COLLECTIVE
                                                                     : H5FD_MPIO_INDEPENDENT),
            "choose the transfer");
    for (const Tensor& tensor : workload_.tensors) write_tensor(tensor, file, links, move);
    H5Pclose(move);
    H5Pclose(links);
    H5Pclose(access);
    checked(H5Fclose(file), "close " + path_.string());
  }

  void write_tensor(const Tensor& tensor, hid_t file, hid_t links, hid_t move) const {
    const hid_t space = make_space(tensor.shape);
    const hid_t type = plain_type(tensor.dtype);
    const hid_t dataset = checked(
        H5Dcreate2(file, tensor.name.c_str(), type, space, links, H5P_DEFAULT, H5P_DEFAULT),
        "create " + tensor.name);
    const cairn::State::Entry* const held = to_write(tensor);
    const bool is_empty = tensor.bytes() == 0;  // HDF5 1.10 gives it no place to write to
    if (!is_empty && (transfer_ == Transfer::collective || held != nullptr)) {
      write_slice(dataset, type, space, held, move, tensor.name);
    }
    H5Dclose(dataset);
    H5Sclose(space);
  }

  /// Null: nothing of it. What all ranks hold is written by the first.
  [[nodiscard]] const cairn::State::Entry* to_write(const Tensor& tensor) const {
    const bool everywhere = tensor.slicing == Slicing::replicated || tensor.shape.empty();
    if (everywhere && !world_.is_root()) return nullptr;
    const auto at = held_.find(tensor.name);
    if (at == held_.end() || cairn::element_count(at->second->slice.extent) == 0) return nullptr;
    return at->second;
  }

  void write_slice(hid_t dataset, hid_t type, hid_t space, const cairn::State::Entry* held,
                   hid_t move, const std::string& name) const {
    hid_t memory = H5I_INVALID_HID;
    const void* data = nullptr;
    if (held == nullptr) {
      memory = checked(H5Scopy(space), "copy a space");
      H5Sselect_none(memory);
      H5Sselect_none(space);
    } else {
      memory = make_space(held->slice.extent);
      data = held->source.data();
      if (!held->slice.global.empty()) {
        const Extents offset = extents_of(held->slice.offset);
        const Extents extent = extents_of(held->slice.extent);
        checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, offset.data(), nullptr, extent.data(),
                                    nullptr),
                "select the slice of " + name);
      }
    }
    checked(H5Dwrite(dataset, type, memory, space, move, data), "write " + name);
    H5Sclose(memory);
  }

  [[nodiscard]] bool sync() const {
    const int file = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    const bool synced = ::fsync(file) == 0;
    return ::close(file) == 0 && synced;
  }

  const World& world_;
  const Workload& workload_;
  std::unordered_map<std::string, const cairn::State::Entry*> held_;
  std::filesystem::path path_;
  Transfer transfer_;
};

}  // namespace

std::unique_ptr<Contestant> make_h5_by_hand(const World& world, const Workload& workload,
                                            const Slices& slices, std::filesystem::path path,
                                            Transfer transfer) {
  return std::make_unique<ByHand>(world, workload, slices, std::move(path), transfer);
}

}  // namespace bench
