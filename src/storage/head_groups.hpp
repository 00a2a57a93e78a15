#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/head_bytes.hpp"

namespace cairn::storage {

/// Where a group of the old kind has its links: a B-tree of leaves, and a heap of names.
struct SymbolTable {
  std::uint64_t tree = 0;
  std::uint64_t heap = 0;

  bool operator==(const SymbolTable&) const = default;
};

/// A hard link.
struct HeadLink {
  std::string_view name;
  std::uint64_t address = 0;          ///< of the object's header
  std::optional<SymbolTable> cached;  ///< what the link repeats of a group's header
};

/// How messages call the root group.
inline const std::string kRootPath = "/";  // NOLINT(readability-identifier-naming)

/// The links of a group, in bytewise order of their names, each name once. `prefix` is what their
/// paths begin with: empty, or it ends with '/'.
std::vector<HeadLink> read_links(HeadBytes& head, const SymbolTable& table,
                                 const std::string& prefix);

}  // namespace cairn::storage
