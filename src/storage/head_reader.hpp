#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

/// Every dataset outside of Cairn's own group, in no particular order, each checked by itself: of
/// a known type, contiguous, inside the body, its name one that Cairn writes. Throws `damaged`
/// naming the object. Needs time and memory for `head.size()` bytes, whatever they say.
std::vector<PlacedTensor> read_head(std::span<const std::byte> head, const Record& record);

}  // namespace cairn::storage
