#pragma once

#include <vector>

#include "base/tensor.hpp"
#include "storage/record.hpp"
#include "storage/scratch_file.hpp"

namespace cairn::storage {

/// Bytes of a tensor whose size is known to fit.
inline std::uint64_t bytes_of(const TensorInfo& tensor) {
  return element_count(tensor.shape) * size_of(tensor.dtype);
}

/// Every dataset outside of Cairn's own groups, in no particular order, each checked by itself.
/// `head` is a file of the image's length with the image's head. Errors name the dataset.
std::vector<PlacedTensor> walk_tensors(const ScratchFile& head, const Record& record);

}  // namespace cairn::storage
