#include "storage/posix_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "cairn/error.hpp"
#include "policy/file_systems.hpp"

namespace cairn::storage {
namespace {

/// The largest transfer of one system call; Linux takes no more than 2 GiB.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

/// Runs a system call that may be interrupted.
template <class Call>
auto retry(Call&& call) {
  auto result = call();
  while (result < 0 && (errno == EINTR || errno == EAGAIN)) result = call();
  return result;
}

std::string at_offset(const char* verb, std::uint64_t offset) {
  return std::string(verb) + " at offset " + std::to_string(offset) + " of";
}

/// An OFD lock over the whole file: it belongs to the open file, not to the process.
bool try_lock(int fd, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  int failed = 0;
  do {
    failed = ::fcntl(fd, F_OFD_SETLK, &lock);
  } while (failed != 0 && errno == EINTR);  // not EAGAIN: it says that somebody else has it
  return failed == 0;
}

}  // namespace

void DescriptorTraits::close(Handle fd) noexcept { ::close(fd); }

void throw_io_error(int error, const std::string& verb, const std::filesystem::path& path,
                    ErrorCode absent) {
  ErrorCode code = ErrorCode::io;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) code = ErrorCode::no_space;
  if (error == ENOENT) code = absent;
  throw Error(code, "cannot " + verb + " " + path.string() + ": " + std::strerror(error));
}

PosixFile::PosixFile(const std::filesystem::path& path, int flags, const char* verb,
                     ErrorCode absent)
    : fd_(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); })), path_(path) {
  if (!fd_.valid()) throw_io_error(errno, verb, path, absent);
}

PosixFile PosixFile::create(const std::filesystem::path& path) {
  return {path, O_RDWR | O_CREAT | O_EXCL, "create", ErrorCode::io};
}
PosixFile PosixFile::open_or_create(const std::filesystem::path& path) {
  return {path, O_RDWR | O_CREAT, "open or create"};
}
PosixFile PosixFile::open_for_writing(const std::filesystem::path& path) {
  return {path, O_RDWR, "open for writing"};
}
PosixFile PosixFile::open_for_reading(const std::filesystem::path& path) {
  // Without O_NONBLOCK the open of a named pipe waits for a writer, for ever.
  PosixFile file{path, O_RDONLY | O_NONBLOCK, "open"};
  struct stat info {};
  if (::fstat(file.descriptor(), &info) != 0) throw_io_error(errno, "look at", path);
  if (S_ISREG(info.st_mode)) return file;
  throw Error(ErrorCode::damaged, path.string() +
                                      " is not a file: it is a directory, a pipe or a "
                                      "device");
}

/// What the system does not tell counts as a disk.
bool PosixFile::is_in_memory() const noexcept {
  struct statfs system {};
  return ::fstatfs(fd_.get(), &system) == 0 &&
         policy::file_system_of(static_cast<std::uint32_t>(system.f_type)).kind ==
             policy::FileSystemKind::memory;
}

bool PosixFile::set_direct(bool direct) {
  if (direct && is_in_memory()) return false;
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags < 0) throw_io_error(errno, "read the flags of", path_);
  const int wanted = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
  if (::fcntl(fd_.get(), F_SETFL, wanted) == 0) return is_direct_ = direct;
  if (direct && errno == EINVAL) return false;
  throw_io_error(errno, "set the flags of", path_);
}

void PosixFile::read(std::span<std::byte> bytes, std::uint64_t offset) const {
  while (!bytes.empty()) {
    const std::size_t wanted = std::min(bytes.size(), kLargestTransfer);
    const ssize_t got = retry(
        [&] { return ::pread(fd_.get(), bytes.data(), wanted, static_cast<off_t>(offset)); });
    if (got < 0) throw_io_error(errno, at_offset("read", offset), path_);
    if (got == 0) {
      throw Error(ErrorCode::damaged, path_.string() + " ends at offset " + std::to_string(offset) +
                                          ", where " + std::to_string(bytes.size()) +
                                          " more bytes were expected");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void PosixFile::write(std::span<const std::byte> bytes, std::uint64_t offset) const {
  while (!bytes.empty()) {
    const std::size_t wanted = std::min(bytes.size(), kLargestTransfer);
    const ssize_t put = retry(
        [&] { return ::pwrite(fd_.get(), bytes.data(), wanted, static_cast<off_t>(offset)); });
    if (put < 0) throw_io_error(errno, at_offset("write", offset), path_);
    if (put == 0) throw_io_error(ENOSPC, at_offset("write", offset), path_);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void PosixFile::require_free(std::uint64_t bytes) const {
  // What somebody else reserves at this moment ext4 counts twice for a moment: another look is
  // cheap.
  constexpr int kLooks = 4;
  constexpr std::chrono::milliseconds kBetweenLooks{5};
  std::uint64_t free = 0;
  for (int looks = 0; looks < kLooks; ++looks) {
    if (looks > 0) std::this_thread::sleep_for(kBetweenLooks);
    struct statvfs disk {};
    if (::fstatvfs(fd_.get(), &disk) != 0) return;  // then the writes will tell
    free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (bytes <= free || disk.f_blocks == 0) return;  // no blocks: in memory, and without a limit
  }
  throw Error(ErrorCode::no_space, "not enough space for " + path_.string() + ": it needs " +
                                       std::to_string(bytes) + " bytes, " + std::to_string(free) +
                                       " are free");
}

bool PosixFile::reserve(std::uint64_t length) const {
  // Asked first, because a failing fallocate may take all the space there is before it says so.
  require_free(length);
  const int failed =
      retry([&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(length)); });
  if (failed == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    throw_io_error(errno, "reserve " + std::to_string(length) + " bytes for", path_);
  }
  truncate(length);
  return false;
}

void PosixFile::truncate(std::uint64_t length) const {
  if (retry([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(length)); }) != 0) {
    throw_io_error(errno, "set the length of", path_);
  }
}

void PosixFile::sync() const {
  if (::fsync(fd_.get()) != 0) throw_io_error(errno, "sync", path_);
}

std::uint64_t PosixFile::size() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw_io_error(errno, "look at", path_);
  return static_cast<std::uint64_t>(info.st_size);
}

bool PosixFile::is_at_its_path() const noexcept {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd_.get(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

bool PosixFile::try_lock_shared() const {
  if (try_lock(fd_.get(), F_RDLCK)) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  if (errno == ENOLCK || errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP) return true;
  throw_io_error(errno, "lock", path_);
}

void PosixFile::unlock() const noexcept { static_cast<void>(try_lock(fd_.get(), F_UNLCK)); }

bool PosixFile::try_lock_exclusive() const {
  if (try_lock(fd_.get(), F_WRLCK)) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw_io_error(errno, "lock", path_);
}

void sync_directory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory.empty() ? "." : directory;
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) throw_io_error(errno, "open the directory", path);
  if (::fsync(fd.get()) != 0) throw_io_error(errno, "sync the directory", path);
}

void rename_entry(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw_io_error(errno, "rename " + from.string() + " to", to);
  }
}

}  // namespace cairn::storage
