#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/tensor.hpp"
#include "storage/hdf5.hpp"

namespace cairn::storage {

// Looking through a file that may come from anybody. All under an `Hdf5Lock`.

/// Something that is no group, where a walk met it. Open during the visit only.
struct FoundObject {
  hid_t id;
  haddr_t address;          ///< for `H5Oopen_by_addr`, which follows no link
  const std::string& path;  ///< without leading slash
};

/// Visits each object of the file once, but no groups, by hard links alone. Other links, a second
/// name of an object (so also a cycle) and groups too deep are refused. More links than fit into
/// `bytes` of metadata are not believed.
void walk_links(hid_t file, std::uint64_t bytes,
                const std::function<void(const FoundObject&)>& visit);

/// The shape of a dataset; nothing where it has none (not even that of a scalar).
std::optional<Shape> shape_of(hid_t dataset, const std::string& path);

}  // namespace cairn::storage
