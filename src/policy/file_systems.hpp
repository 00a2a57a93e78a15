#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cairn/options.hpp"

namespace cairn::policy {

/// What several hosts may do with one file.
enum class FileSystemKind : std::uint8_t {
  local,     ///< of one host, or nothing is known against it
  memory,    ///< of one host, in its memory: what is written is copied, also with O_DIRECT
  parallel,  ///< coherent: what hosts write with POSIX calls side by side is there
  network,   ///< each host caches pages by itself: POSIX writes of several hosts may be lost
};

struct FileSystem {
  FileSystemKind kind = FileSystemKind::local;
  std::string_view name = "a local file system";

  bool operator==(const FileSystem&) const = default;
};

/// By the number that statfs(2) tells.
FileSystem file_system_of(std::uint32_t magic) noexcept;

/// Why `writer` must not write one file there from so many hosts, and what to do instead; nothing
/// where it may.
std::optional<std::string> objection_to(Writer writer, const FileSystem& system,
                                        std::uint64_t hosts);

}  // namespace cairn::policy
