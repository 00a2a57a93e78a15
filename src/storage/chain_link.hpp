#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "storage/record.hpp"

namespace cairn::storage {

/// Where the checkpoint is that the increment at `path` was saved after. Names lead back to it first;
/// where `path`, or a directory on the way, is a link and they do not, what it points to.
std::filesystem::path parent_of(const std::filesystem::path& path, const Chain& increment);

/// Why what lies at `path` is not the checkpoint that an increment was saved after; nothing where it
/// is.
std::optional<std::string> objection_to_parent(const Identity& increment,
                                               const std::filesystem::path& path,
                                               const Identity& found);

/// Why the increment at `path` cannot be restored: what it goes back to, however far, is missing or
/// another. Nothing where all are there and say what they must, which needs no key; and for a
/// checkpoint that is full.
std::optional<std::string> find_broken_link(const std::filesystem::path& path,
                                            const Identity& identity);

}  // namespace cairn::storage
