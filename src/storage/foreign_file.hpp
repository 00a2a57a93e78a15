#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor.hpp"

namespace cairn::storage {

/// Whether this is an HDF5 file that Cairn did not write: it has the signature, no record at its
/// end and no group of Cairn's. A damaged checkpoint is never foreign. Throws `damaged` for a file
/// that has the signature and is neither.
bool is_foreign(const std::filesystem::path& path);

/// Something in a foreign file that is not a tensor, and why. It is in the way of nobody who does
/// not ask for it.
struct NoTensor {
  std::string name;
  std::string why;  ///< "holds strings"
};

/// What a foreign file holds.
struct ForeignIndex {
  /// In bytewise order of their names, which are their HDF5 paths without leading slash. `offset`
  /// is the address of the dataset's header, for `ForeignFile::open`.
  std::vector<PlacedTensor> tensors;
  std::vector<NoTensor> others;     ///< in the same order
  std::uint64_t largest_chunk = 0;  ///< bytes of one chunk, decoded
};

/// Walks a foreign file. Such files come from anybody: only hard links are followed, each object
/// has one name, all values lie in this file, and sizes are possible; else `damaged`, naming the
/// file and the path in it. Nothing is allocated by what a shape claims.
ForeignIndex read_foreign_index(const std::filesystem::path& path);

/// Reads boxes of a foreign file through HDF5's MPI-IO driver. The communicator is only handed on
/// to HDF5. Opening and closing are collective over it, reading is not: transfers are independent.
///
/// (Independent: collective transfers would have to be as many on every rank, whatever fails, and
/// HDF5 falls back to independent ones itself where it converts types; metadata that is read
/// collectively comes out wrong in 1.10.8. So a communicator of more than one rank would be good for
/// nothing, and with MPI_COMM_SELF nobody is left waiting by a rank that cannot open the file.)
class ForeignFile {
 public:
  /// `largest_chunk` as in the index: HDF5 keeps at least one decoded chunk.
  ForeignFile(const std::filesystem::path& path, std::uint64_t largest_chunk, MPI_Comm comm);
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;
  ~ForeignFile();

  /// Makes it the dataset to read from. Throws where it is not what the index says any more.
  void open(const PlacedTensor& tensor);
  /// The extents of its chunks; all 1 for a dataset without.
  [[nodiscard]] const Shape& chunk() const noexcept;
  /// Reads a box, below 2 GiB, as row-major little endian elements of the tensor's dtype. Throws
  /// `damaged` where a checksum or a filter says so.
  void read(const Shape& offset, const Shape& extent, std::byte* packed) const;

 private:
  struct Handles;  // keeps HDF5 out of this header
  std::unique_ptr<Handles> handles_;
};

}  // namespace cairn::storage
