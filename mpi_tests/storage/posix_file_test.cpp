#include "storage/posix_file.hpp"

#include <dlfcn.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "storage/expect_error.hpp"
#include "storage/scratch_directory.hpp"

namespace {
/// How often from now on the disk looks full.
int looks_full = 0;
}  // namespace

// Who asks for the free space of an open file goes through here.
extern "C" int fstatvfs(int file, struct statvfs* disk) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(int, struct statvfs*)>(::dlsym(RTLD_NEXT, "fstatvfs"));
  const int failed = real(file, disk);
  if (failed == 0 && looks_full > 0) {
    --looks_full;
    disk->f_bavail = 0;
  }
  return failed;
}

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;
using cairn::testing::ScratchDirectory;

std::vector<std::byte> pattern(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

std::vector<std::byte> read_back(const PosixFile& file, std::uint64_t offset, std::size_t count) {
  std::vector<std::byte> bytes(count);
  file.read(bytes, offset);
  return bytes;
}

TEST(PosixFile, WhatIsWrittenAtAnOffsetIsReadThere) {
  const ScratchDirectory directory;
  const auto bytes = pattern(100'000);
  PosixFile::create(directory / "f").write(bytes, 12'345);
  const PosixFile file = PosixFile::open_for_reading(directory / "f");
  EXPECT_EQ(file.size(), 112'345U);
  EXPECT_EQ(read_back(file, 12'345, bytes.size()), bytes);
  EXPECT_EQ(read_back(file, 0, 12'345), std::vector<std::byte>(12'345));
}

TEST(PosixFile, AFileThatIsThereIsNotCreatedAgain) {
  const ScratchDirectory directory;
  PosixFile::create(directory / "f");
  expect_error(ErrorCode::io, {"cannot create", "/f", "exists"},
               [&] { PosixFile::create(directory / "f"); });
}

TEST(PosixFile, AMissingFileIsNotFound) {
  const ScratchDirectory directory;
  expect_error(ErrorCode::not_found, {"cannot open", "/f"},
               [&] { PosixFile::open_for_reading(directory / "f"); });
}

TEST(PosixFile, AFileThatEndsTooSoonIsDamagedAtThatOffset) {
  const ScratchDirectory directory;
  const PosixFile file = PosixFile::create(directory / "f");
  file.write(pattern(1000), 0);
  expect_error(ErrorCode::damaged, {"/f", "ends at offset 1000", "24 more bytes"},
               [&] { (void)read_back(file, 1000, 24); });
}

TEST(PosixFile, ReservingGivesTheLengthAndTheSpace) {
  const ScratchDirectory directory;
  const PosixFile file = PosixFile::create(directory / "f");
  const bool reserved = file.reserve(1 << 20);
  EXPECT_EQ(file.size(), std::uint64_t{1} << 20);
  struct stat info {};
  ASSERT_EQ(::stat((directory / "f").c_str(), &info), 0);
  if (reserved) {
    EXPECT_GE(info.st_blocks * 512, 1 << 20);
  }
}

TEST(PosixFile, InMemoryThenReservedAndNotDirect) {
  const std::filesystem::path path = "/dev/shm/cairn-posix-file-" + std::to_string(::getpid());
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP() << "there is no /dev/shm";
  PosixFile file = PosixFile::create(path);
  struct statfs system {};  // by the descriptor: file_system_test has a statfs of its own
  if (::fstatfs(file.descriptor(), &system) != 0 || system.f_type != TMPFS_MAGIC) {
    std::filesystem::remove(path);
    GTEST_SKIP() << "/dev/shm is no file system in memory";
  }
  const bool reserved = file.reserve(1 << 20);
  const bool direct = file.set_direct(true);
  struct stat info {};
  const int looked = ::stat(path.c_str(), &info);
  std::filesystem::remove(path);
  ASSERT_EQ(looked, 0);
  EXPECT_TRUE(reserved);
  EXPECT_EQ(info.st_size, 1 << 20);
  EXPECT_GE(info.st_blocks * 512, 1 << 20);
  EXPECT_FALSE(direct);
  EXPECT_FALSE(file.is_direct());
}

TEST(PosixFile, ReservingMoreThanThereIsTakesNothing) {
  const ScratchDirectory directory;
  const PosixFile file = PosixFile::create(directory / "f");
  struct statvfs disk {};
  ASSERT_EQ(::statvfs((directory / "f").c_str(), &disk), 0);
  const std::uint64_t much = std::uint64_t{disk.f_blocks} * disk.f_frsize * 2;
  expect_error(ErrorCode::no_space, {"not enough space", "/f", std::to_string(much).c_str()},
               [&] { file.reserve(much); });
  struct stat info {};
  ASSERT_EQ(::stat((directory / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 0);
  EXPECT_EQ(info.st_blocks, 0);
}

TEST(PosixFile, SpaceThatAnotherReservesAtThisMomentIsOnlyMissedForAMoment) {
  const ScratchDirectory directory;
  const PosixFile file = PosixFile::create(directory / "f");
  looks_full = 2;
  file.reserve(1 << 20);
  EXPECT_EQ(looks_full, 0);
  EXPECT_EQ(file.size(), 1U << 20);
  looks_full = 1000;
  expect_error(ErrorCode::no_space, {"not enough space", "0 are free"},
               [&] { file.reserve(2 << 20); });
  looks_full = 0;
}

TEST(PosixFile, DirectTransfersWorkWhereTheFileSystemTakesThem) {
  const ScratchDirectory directory;
  PosixFile file = PosixFile::create(directory / "f");
  if (!file.set_direct(true)) GTEST_SKIP() << "this file system does not take O_DIRECT";
  constexpr std::size_t kBytes = 4 * kDirectAlignment;
  const std::unique_ptr<std::byte, decltype(&std::free)> buffer(
      static_cast<std::byte*>(std::aligned_alloc(kDirectAlignment, kBytes)), &std::free);
  const std::span<std::byte> aligned(buffer.get(), kBytes);
  const auto bytes = pattern(kBytes);
  std::ranges::copy(bytes, aligned.begin());
  file.write(aligned, 2 * kDirectAlignment);
  std::ranges::fill(aligned, std::byte{0});
  file.read(aligned, 2 * kDirectAlignment);
  EXPECT_TRUE(std::ranges::equal(aligned, bytes));
  EXPECT_FALSE(file.set_direct(false));
  EXPECT_EQ(read_back(file, 2 * kDirectAlignment, kBytes), bytes);
}

TEST(PosixFile, AnUnalignedDirectTransferNamesItsOffset) {
  const ScratchDirectory directory;
  PosixFile file = PosixFile::create(directory / "f");
  if (!file.set_direct(true)) GTEST_SKIP() << "this file system does not take O_DIRECT";
  const auto bytes = pattern(100);
  try {
    file.write(bytes, 17);  // some file systems fall back to buffers
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("write at offset 17 of"));
  }
}

TEST(PosixFile, ManyHoldTheSharedLockAndNobodyTheExclusiveOneThen) {
  const ScratchDirectory directory;
  const PosixFile sweeper = PosixFile::create(directory / "f");
  {
    const PosixFile one = PosixFile::open_for_writing(directory / "f");
    const PosixFile two = PosixFile::open_for_writing(directory / "f");
    EXPECT_TRUE(one.try_lock_shared());
    EXPECT_TRUE(two.try_lock_shared());
    EXPECT_FALSE(sweeper.try_lock_exclusive());
  }
  EXPECT_TRUE(sweeper.try_lock_exclusive());
  const PosixFile late = PosixFile::open_for_writing(directory / "f");
  EXPECT_FALSE(late.try_lock_shared());
}

TEST(PosixFile, RenamingReplacesAFile) {
  const ScratchDirectory directory;
  PosixFile::create(directory / "old").write(pattern(10), 0);
  PosixFile::create(directory / "new").write(pattern(20), 0);
  rename_entry(directory / "new", directory / "old");
  sync_directory((directory / "old").parent_path());
  EXPECT_EQ(PosixFile::open_for_reading(directory / "old").size(), 20U);
  expect_error(ErrorCode::not_found, {"rename", "/new"},
               [&] { rename_entry(directory / "new", directory / "old"); });
}

}  // namespace
}  // namespace cairn::storage
