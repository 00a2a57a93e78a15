#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace cairn::storage {

/// The group that holds Cairn's own datasets.
inline constexpr std::string_view kOwnGroup = ".cairn";
/// The group of append_info. No tensor of another family goes there.
inline constexpr std::string_view kInfoGroup = "append_info";

/// The group of MapParameters; the same.
inline constexpr std::string_view kMapGroup = "map_parameter";

/// The HDF5 paths of tensors given in the order of their keys. Names that HDF5 takes as they are
/// stay as they are; the rest is escaped so that it can be read back (see docs/format.md), and no
/// two tensors share a dataset. Paths of append_info begin with its group, those of MapParameters with
/// theirs.
std::vector<std::string> dataset_paths(std::span<const TensorInfo> tensors);

/// The exact name behind an HDF5 path (without leading slash), or behind the part of it that lies
/// in the group of another family. `with_maps`: among tensors there are MapParameters, whose group is
/// reserved then. Throws `damaged` for a path that `dataset_paths` never makes.
std::string name_of_path(std::string_view path, bool with_maps = false);

}  // namespace cairn::storage
