#include "storage/file_system.hpp"

#include <sys/vfs.h>

#include <cerrno>

namespace cairn::storage {

policy::FileSystem file_system_under(const std::filesystem::path& path) {
  std::filesystem::path there = path.empty() ? "." : path;
  struct statfs info {};
  while (::statfs(there.c_str(), &info) != 0) {
    if (errno != ENOENT || there == "." || !there.has_relative_path()) return {};
    there = there.parent_path();
    if (there.empty()) there = ".";
  }
  return policy::file_system_of(static_cast<std::uint32_t>(info.f_type));
}

}  // namespace cairn::storage
