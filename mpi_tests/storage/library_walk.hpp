#pragma once

#include <vector>

#include "base/tensor.hpp"
#include "storage/scratch_file.hpp"

namespace cairn::testing {

/// The tensors of an image's head as the HDF5 library sees them: what `read_head` must find too.
/// `head` is a file of the image's length. In no particular order.
std::vector<PlacedTensor> walk_with_library(const storage::ScratchFile& head);

}  // namespace cairn::testing
