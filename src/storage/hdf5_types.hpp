#pragma once

#include <array>
#include <optional>

#include "cairn/dtype.hpp"
#include "storage/hdf5.hpp"

namespace cairn::storage {

/// The HDF5 type of a text in a file: a string of so many bytes, UTF-8, filled up with zeros.
/// Under an `Hdf5Lock`.
H5Datatype text_type(std::size_t bytes);

/// The HDF5 type of each dtype in a file. Little endian; bool is h5py's enumeration, complex a
/// compound {r, i}; bfloat16 and fp8 are float types with the fields that newer HDF5 releases
/// define under H5T_FLOAT_BFLOAT16LE, H5T_FLOAT_F8E4M3 and H5T_FLOAT_F8E5M2.
/// Made, used and destroyed under an `Hdf5Lock`.
class Hdf5Types {
 public:
  Hdf5Types();

  [[nodiscard]] hid_t of(DType dtype) const noexcept {
    return types_[static_cast<std::size_t>(dtype)].get();
  }
  /// The dtype whose file type is exactly `type`, or nothing.
  [[nodiscard]] std::optional<DType> dtype_of(hid_t type) const;
  /// The same for files of others: of any byte order, and bool as an enumeration of either sign.
  [[nodiscard]] std::optional<DType> dtype_in_any_order(hid_t type) const;

 private:
  std::array<H5Datatype, kDTypeCount> types_;
};

}  // namespace cairn::storage
