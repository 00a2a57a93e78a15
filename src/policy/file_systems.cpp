#include "policy/file_systems.hpp"

#include <algorithm>
#include <array>

namespace cairn::policy {
namespace {

struct Known {
  std::uint32_t magic;
  FileSystem system;
};

// From linux/magic.h and, for those outside the kernel, from their own sources.
constexpr std::array kKnown{
    Known{0x6969, {FileSystemKind::network, "NFS"}},
    Known{0x517B, {FileSystemKind::network, "SMB"}},
    Known{0xFF534D42, {FileSystemKind::network, "CIFS"}},
    Known{0xFE534D42, {FileSystemKind::network, "SMB2"}},
    Known{0x5346414F, {FileSystemKind::network, "AFS"}},
    Known{0x6B414653, {FileSystemKind::network, "AFS"}},
    Known{0x73757245, {FileSystemKind::network, "Coda"}},
    Known{0x01021997, {FileSystemKind::network, "9P"}},
    Known{0x01021994, {FileSystemKind::memory, "tmpfs"}},
    Known{0x858458F6, {FileSystemKind::memory, "ramfs"}},
    Known{0x0BD00BD0, {FileSystemKind::parallel, "Lustre"}},
    Known{0x47504653, {FileSystemKind::parallel, "GPFS"}},
    Known{0x19830326, {FileSystemKind::parallel, "BeeGFS"}},
    Known{0x00C36400, {FileSystemKind::parallel, "CephFS"}},
    Known{0x20030528, {FileSystemKind::parallel, "OrangeFS"}},
    Known{0xAAD7AAEA, {FileSystemKind::parallel, "PanFS"}},
    Known{0x01161970, {FileSystemKind::parallel, "GFS2"}},
    Known{0x7461636F, {FileSystemKind::parallel, "OCFS2"}},
};

}  // namespace

FileSystem file_system_of(std::uint32_t magic) noexcept {
  const auto* const known = std::ranges::find(kKnown, magic, &Known::magic);
  return known == kKnown.end() ? FileSystem{} : known->system;
}

std::optional<std::string> objection_to(Writer writer, const FileSystem& system,
                                        std::uint64_t hosts) {
  if (writer != Writer::direct || system.kind != FileSystemKind::network || hosts < 2) {
    return std::nullopt;
  }
  return "the ranks are on " + std::to_string(hosts) + " hosts and the directory is on " +
         std::string(system.name) +
         ", where what several hosts write to one file with the writer direct may be lost; take "
         "the writer mpiio, or a parallel file system";
}

}  // namespace cairn::policy
