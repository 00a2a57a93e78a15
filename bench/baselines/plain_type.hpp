#pragma once

#include <hdf5.h>

#include "cairn/dtype.hpp"

namespace bench {

/// The plain type of that size: which one it is makes no difference to the time.
inline hid_t plain_type(cairn::DType dtype) {
  switch (cairn::size_of(dtype)) {
    case 1:
      return H5T_STD_U8LE;
    case 2:
      return H5T_STD_U16LE;
    case 4:
      return H5T_IEEE_F32LE;
    case 8:
      return H5T_IEEE_F64LE;
    default:
      return H5T_NATIVE_LDOUBLE;
  }
}

}  // namespace bench
