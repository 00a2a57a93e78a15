#pragma once

#include <mpi.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/tensor.hpp"

namespace cairn::storage {

/// The reference writer: every rank writes its boxes through HDF5's own MPI-IO driver, into a file
/// whose structure is there already (head written, length set). The bytes of the head stay as they
/// are. The communicator is only handed on to HDF5, which duplicates it.
///
/// All calls are collective, in the same order on all ranks. An error of one rank alone leaves the
/// others waiting in MPI-IO: so arguments are to be right, and agreed on, before.
/// While it waits for the other ranks it holds the process's HDF5 lock: one writer at a time.
class Hdf5Writer {
 public:
  /// Collective. Opens `path` for writing.
  Hdf5Writer(const std::filesystem::path& path, MPI_Comm comm);
  Hdf5Writer(Hdf5Writer&&) noexcept;
  Hdf5Writer& operator=(Hdf5Writer&&) noexcept;
  /// Collective unless `finish` was called. Reports nothing.
  ~Hdf5Writer();

  /// Collective. Writes a box of the dataset of `tensor`, of a text all of it: `packed` holds its
  /// elements in row-major order, below 1 GiB, with the exact bits to store. A rank with nothing to
  /// write gives no bytes; its offset and extent are not looked at.
  void write(const std::string& dataset_path, const TensorInfo& tensor, const Shape& offset,
             const Shape& extent, std::span<const std::byte> packed);

  /// Local. Whether the last `write` went through MPI-IO collectively, as HDF5 tells it.
  [[nodiscard]] bool was_collective() const;

  /// Collective. Closes the file; the object is of no use after it. The data is not synced yet.
  void finish();

 private:
  struct Handles;  // keeps HDF5 out of this header
  std::unique_ptr<Handles> handles_;
};

}  // namespace cairn::storage
