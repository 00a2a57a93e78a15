#include "storage/file_system.hpp"

#include <gtest/gtest.h>
#include <sys/vfs.h>

#include <cerrno>
#include <string>

namespace {

constexpr long kNfs = 0x6969;
constexpr long kExt4 = 0xEF53;

}  // namespace

/// The C library's function of this name, as every object of this program finds it first: /net is
/// mounted by NFS, nothing below it exists but /net/home, and everything else is there and local.
extern "C" int statfs(const char* path, struct statfs* info) noexcept {
  const std::string name = path;
  *info = {};
  if (name.starts_with("/net/") && name != "/net/home") {
    errno = ENOENT;
    return -1;
  }
  if (name.starts_with("/locked")) {
    errno = EACCES;
    return -1;
  }
  if (name == "relative") {
    errno = ENOENT;
    return -1;
  }
  info->f_type = name.starts_with("/net") ? kNfs : kExt4;
  return 0;
}

namespace cairn::storage {
namespace {

using policy::FileSystemKind;

TEST(FileSystemUnder, DirectoryThatIsThereTellsItself) {
  EXPECT_EQ(file_system_under("/net/home").kind, FileSystemKind::network);
  EXPECT_EQ(file_system_under("/tmp").kind, FileSystemKind::local);
}

TEST(FileSystemUnder, DirectoryThatIsToBeMadeIsOnWhatIsAboveIt) {
  EXPECT_EQ(file_system_under("/net/home/of/the/run").kind, FileSystemKind::network);
}

TEST(FileSystemUnder, NoDirectoryIsTheCurrentOne) {
  EXPECT_EQ(file_system_under("").kind, FileSystemKind::local);
  EXPECT_EQ(file_system_under("relative").kind, FileSystemKind::local);
}

TEST(FileSystemUnder, WhatMayNotBeLookedAtCountsAsLocal) {
  EXPECT_EQ(file_system_under("/locked/away").kind, FileSystemKind::local);
}

}  // namespace
}  // namespace cairn::storage
