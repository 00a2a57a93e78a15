#pragma once

#include "storage/hdf5.hpp"

namespace cairn::storage {

/// The HDF5 type of an entry of `/.cairn/blocks`.
H5Datatype table_entry_type();

/// The HDF5 type of `/.cairn/record`, in an image with MapParameters or without.
H5Datatype record_type(bool with_maps);

}  // namespace cairn::storage
