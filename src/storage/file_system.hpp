#pragma once

#include <filesystem>

#include "policy/file_systems.hpp"

namespace cairn::storage {

/// What `path` is on or, where it does not exist yet, would be on. What the system does not tell
/// counts as local: then opening and writing will tell.
policy::FileSystem file_system_under(const std::filesystem::path& path);

}  // namespace cairn::storage
