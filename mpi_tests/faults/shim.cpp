// The C library's functions, as a program finds them when this library is preloaded. Each asks the
// core whether it may, calls the C library's, and has the log written.
//
// What one function of the C library does by others inside it (opendir by openat, remove by unlink)
// is one call here. trace_test.py compares a trace with strace's, so that nothing else gets by.
#include <dlfcn.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "faults/shim_core.hpp"

// The names of the C library are given by asm labels: its headers declare them with attributes that
// differ from one release to the next.
#define INTERPOSE(result, name, ...)                                 \
  extern "C" __attribute__((visibility("default"))) result shim_##name( \
      __VA_ARGS__) __asm__(#name);                                      \
  result shim_##name(__VA_ARGS__)
#define ALSO(name, alias_name)                                                           \
  extern "C" __attribute__((visibility("default"), alias(#name)))                        \
  __typeof__(shim_##name) shim_##alias_name __asm__(#alias_name)
/// The C library's own.
#define REAL(name)                                                     \
  ([] {                                                                \
    static const auto next = real<__typeof__(&shim_##name)>(#name);    \
    return next;                                                       \
  }())

namespace {

using cairn::faults::Call;
using cairn::faults::Core;
using cairn::faults::Kind;
using cairn::faults::Op;
using cairn::faults::Verdict;
using Path = std::string;  // empty: the call does not matter

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

Core& core() { return Core::instance(); }

Path watched(int directory, const char* path) {
  return core().watching() ? core().watched(directory, path) : Path();
}
Path watched(int descriptor) {
  return core().watching() ? core().watched(descriptor) : Path();
}

struct stat stat_of(int descriptor) {
  struct stat info {};
  using Fstat = int (*)(int, struct stat*);
  static const auto call = real<Fstat>("fstat");
  call(descriptor, &info);
  return info;
}

bool exists(const std::string& path) {
  struct stat info {};
  using Lstat = int (*)(const char*, struct stat*);
  static const auto call = real<Lstat>("lstat");
  return call(path.c_str(), &info) == 0;
}

/// A call that changes nothing.
template <class Result, class Make>
Result made(Kind kind, const Path& path, Make&& make, Result failed) {
  if (!path.empty() && core().judge({kind, path}) == Verdict::fail) return failed;
  return make();
}

/// A call that changes what bears a name.
template <class Make>
int changed(Kind kind, Op op, const Path& path, const Path& to, Make&& make) {
  if (path.empty()) return make();
  const Core::Turn turn(core());
  if (core().judge({kind, path, to}) == Verdict::fail) return -1;
  const int result = make();
  if (turn && result == 0) core().write_down(op, 0, 0, path, to, {});
  return result;
}

/// The part of a transfer that is made where it is to be short.
std::size_t part_of(std::size_t bytes) {
  constexpr std::size_t kSector = 512;
  return bytes >= 2 * kSector ? bytes / 2 / kSector * kSector : (bytes + 1) / 2;
}

template <class Make>
ssize_t got(int fd, std::size_t bytes, Make&& make) {
  const Path path = watched(fd);
  if (path.empty()) return make(bytes);
  const Verdict verdict = core().judge({Kind::read, path});
  if (verdict == Verdict::fail) return -1;
  return make(verdict == Verdict::shorten ? part_of(bytes) : bytes);
}

template <class Make>
ssize_t put(int fd, const void* bytes, std::size_t count, off_t offset, Make&& make) {
  const Path path = watched(fd);
  if (path.empty()) return make(count);
  const Core::Turn turn(core());
  const Verdict verdict = core().judge({Kind::write, path});
  if (verdict == Verdict::fail) return -1;
  const ssize_t result = make(verdict == Verdict::shorten ? part_of(count) : count);
  if (turn && result > 0) {
    core().write_down(Op::write, stat_of(fd).st_ino, static_cast<std::uint64_t>(offset), path, {},
                      {static_cast<const std::byte*>(bytes), static_cast<std::size_t>(result)});
  }
  return result;
}

template <class Make>
int resized(int fd, Make&& make) {
  const Path path = watched(fd);
  if (path.empty()) return make();
  const Core::Turn turn(core());
  if (core().judge({Kind::resize, path}) == Verdict::fail) return -1;
  const int result = make();
  if (turn && result == 0) {
    const struct stat info = stat_of(fd);
    core().write_down(Op::resize, info.st_ino, static_cast<std::uint64_t>(info.st_size), path, {},
                      {});
  }
  return result;
}

template <class Make>
int synced(int fd, Make&& make) {
  const Path path = watched(fd);
  if (path.empty()) return make();
  const Core::Turn turn(core());
  if (core().judge({Kind::sync, path}) == Verdict::fail) return -1;
  const int result = make();
  if (turn && result == 0) core().write_down(Op::sync, stat_of(fd).st_ino, 0, path, {}, {});
  return result;
}

template <class Make>
int opened(int directory, const char* name, int flags, Make&& make) {
  const Path path = watched(directory, name);
  if (path.empty()) return make();
  const bool creates = (flags & O_CREAT) != 0;
  const Core::Turn turn(core());
  if (core().judge({creates ? Kind::create : Kind::open, path}) == Verdict::fail) return -1;
  const bool is_new = turn && creates && !exists(path);
  const int fd = make();
  if (fd < 0) return fd;
  core().opened(fd, path);
  if (is_new) core().write_down(Op::create, stat_of(fd).st_ino, 0, path, {}, {});
  if (turn && (flags & O_TRUNC) != 0) {
    core().write_down(Op::resize, stat_of(fd).st_ino, 0, path, {}, {});
  }
  return fd;
}

int made_directory(const Path& path, int result, bool recorded) {
  if (result != 0 || path.empty() || !recorded) return result;
  using Stat = int (*)(const char*, struct stat*);
  struct stat info {};
  real<Stat>("stat")(path.c_str(), &info);
  core().write_down(Op::make_directory, info.st_ino, 0, path, {}, {});
  return result;
}

}  // namespace

// ---- names to descriptors

INTERPOSE(int, open, const char* path, int flags, mode_t mode) {
  return opened(AT_FDCWD, path, flags, [=] { return REAL(open)(path, flags, mode); });
}
ALSO(open, open64);
INTERPOSE(int, openat, int at, const char* path, int flags, mode_t mode) {
  return opened(at, path, flags, [=] { return REAL(openat)(at, path, flags, mode); });
}
ALSO(openat, openat64);
INTERPOSE(int, creat, const char* path, mode_t mode) {
  return opened(AT_FDCWD, path, O_CREAT | O_TRUNC, [=] { return REAL(creat)(path, mode); });
}
ALSO(creat, creat64);
INTERPOSE(int, close, int fd) {
  const Path path = watched(fd);
  if (path.empty()) return REAL(close)(fd);
  const bool fails = core().judge({Kind::close, path}) == Verdict::fail;
  const int error = errno;
  core().closed(fd);
  const int result = REAL(close)(fd);  // a close that fails has closed all the same
  if (fails) errno = error;
  return fails ? -1 : result;
}
INTERPOSE(DIR*, opendir, const char* name) {
  const Path path = watched(AT_FDCWD, name);
  DIR* const directory = made<DIR*>(Kind::open, path, [=] { return REAL(opendir)(name); }, nullptr);
  if (!path.empty() && directory != nullptr) {
    core().opened(::dirfd(directory), path);
    core().note(Kind::look, path);  // whether it is a directory
  }
  return directory;
}
INTERPOSE(DIR*, fdopendir, int fd) {
  const Path path = watched(fd);
  if (!path.empty()) {
    core().note(Kind::look, path);
    core().note(Kind::control, path);  // whether it may be read
    core().note(Kind::control, path);  // closed on exec
  }
  return REAL(fdopendir)(fd);
}
INTERPOSE(int, closedir, DIR* directory) {
  const int fd = ::dirfd(directory);
  const Path path = watched(fd);
  const bool fails = !path.empty() && core().judge({Kind::close, path}) == Verdict::fail;
  if (!path.empty()) core().closed(fd);
  const int result = REAL(closedir)(directory);
  return fails ? -1 : result;
}
INTERPOSE(struct dirent*, readdir, DIR* directory) {
  return made<struct dirent*>(Kind::list, watched(::dirfd(directory)),
                              [=] { return REAL(readdir)(directory); }, nullptr);
}
ALSO(readdir, readdir64);

// ---- transfers

INTERPOSE(ssize_t, read, int fd, void* bytes, std::size_t count) {
  return got(fd, count, [=](std::size_t n) { return REAL(read)(fd, bytes, n); });
}
INTERPOSE(ssize_t, pread, int fd, void* bytes, std::size_t count, off_t offset) {
  return got(fd, count, [=](std::size_t n) { return REAL(pread)(fd, bytes, n, offset); });
}
ALSO(pread, pread64);
INTERPOSE(ssize_t, write, int fd, const void* bytes, std::size_t count) {
  using Seek = off_t (*)(int, off_t, int);
  const off_t at = watched(fd).empty() ? 0 : real<Seek>("lseek")(fd, 0, SEEK_CUR);
  return put(fd, bytes, count, at, [=](std::size_t n) { return REAL(write)(fd, bytes, n); });
}
INTERPOSE(ssize_t, pwrite, int fd, const void* bytes, std::size_t count, off_t offset) {
  return put(fd, bytes, count, offset,
             [=](std::size_t n) { return REAL(pwrite)(fd, bytes, n, offset); });
}
ALSO(pwrite, pwrite64);
// Of lists of buffers, as MPI-IO writes: counted, and failed; the log has no word for them.
INTERPOSE(ssize_t, readv, int fd, const struct iovec* list, int count) {
  return made<ssize_t>(Kind::read, watched(fd), [=] { return REAL(readv)(fd, list, count); }, -1);
}
INTERPOSE(ssize_t, writev, int fd, const struct iovec* list, int count) {
  return made<ssize_t>(Kind::write, watched(fd), [=] { return REAL(writev)(fd, list, count); }, -1);
}
INTERPOSE(ssize_t, preadv, int fd, const struct iovec* list, int count, off_t at) {
  return made<ssize_t>(Kind::read, watched(fd), [=] { return REAL(preadv)(fd, list, count, at); },
                       -1);
}
ALSO(preadv, preadv64);
INTERPOSE(ssize_t, pwritev, int fd, const struct iovec* list, int count, off_t at) {
  return made<ssize_t>(Kind::write, watched(fd), [=] { return REAL(pwritev)(fd, list, count, at); },
                       -1);
}
ALSO(pwritev, pwritev64);

// ---- lengths and durability

INTERPOSE(int, ftruncate, int fd, off_t length) {
  return resized(fd, [=] { return REAL(ftruncate)(fd, length); });
}
ALSO(ftruncate, ftruncate64);
INTERPOSE(int, fallocate, int fd, int mode, off_t offset, off_t length) {
  return resized(fd, [=] { return REAL(fallocate)(fd, mode, offset, length); });
}
ALSO(fallocate, fallocate64);
INTERPOSE(int, fsync, int fd) {
  return synced(fd, [=] { return REAL(fsync)(fd); });
}
INTERPOSE(int, fdatasync, int fd) {
  return synced(fd, [=] { return REAL(fdatasync)(fd); });
}

// ---- names

INTERPOSE(int, rename, const char* from, const char* to) {
  return changed(Kind::rename, Op::rename, watched(AT_FDCWD, from), watched(AT_FDCWD, to),
                 [=] { return REAL(rename)(from, to); });
}
INTERPOSE(int, renameat, int at, const char* from, int to_at, const char* to) {
  return changed(Kind::rename, Op::rename, watched(at, from), watched(to_at, to),
                 [=] { return REAL(renameat)(at, from, to_at, to); });
}
INTERPOSE(int, renameat2, int at, const char* from, int to_at, const char* to, unsigned flags) {
  return changed(Kind::rename, Op::rename, watched(at, from), watched(to_at, to),
                 [=] { return REAL(renameat2)(at, from, to_at, to, flags); });
}
INTERPOSE(int, unlink, const char* path) {
  return changed(Kind::remove, Op::remove, watched(AT_FDCWD, path), {},
                 [=] { return REAL(unlink)(path); });
}
INTERPOSE(int, unlinkat, int at, const char* path, int flags) {
  return changed(Kind::remove, Op::remove, watched(at, path), {},
                 [=] { return REAL(unlinkat)(at, path, flags); });
}
INTERPOSE(int, remove, const char* path) {
  const Path full = watched(AT_FDCWD, path);
  return changed(Kind::remove, Op::remove, full, {}, [&] {
    struct stat info {};
    using Lstat = int (*)(const char*, struct stat*);
    if (full.empty()) return REAL(remove)(path);
    core().note(Kind::look, full);  // ours
    if (real<Lstat>("lstat")(path, &info) == 0 && S_ISDIR(info.st_mode)) {
      core().note(Kind::remove, full);  // as a file first
    }
    return REAL(remove)(path);
  });
}
INTERPOSE(int, rmdir, const char* path) {
  return changed(Kind::remove, Op::remove, watched(AT_FDCWD, path), {},
                 [=] { return REAL(rmdir)(path); });
}
INTERPOSE(int, mkdirat, int at, const char* name, mode_t mode) {
  const Path path = watched(at, name);
  const Core::Turn turn(core());
  return made_directory(path,
                        made<int>(Kind::make_directory, path,
                                  [=] { return REAL(mkdirat)(at, name, mode); }, -1),
                        bool(turn));
}
INTERPOSE(int, mkdir, const char* name, mode_t mode) {
  const Path path = watched(AT_FDCWD, name);
  const Core::Turn turn(core());
  return made_directory(
      path, made<int>(Kind::make_directory, path, [=] { return REAL(mkdir)(name, mode); }, -1),
      bool(turn));
}
INTERPOSE(int, link, const char* from, const char* to) {
  return made<int>(Kind::link, watched(AT_FDCWD, from), [=] { return REAL(link)(from, to); }, -1);
}
INTERPOSE(int, symlink, const char* from, const char* to) {
  return made<int>(Kind::link, watched(AT_FDCWD, to), [=] { return REAL(symlink)(from, to); }, -1);
}

// ---- looks

#define LOOK_AT_PATH(name, type)                                                                \
  INTERPOSE(int, name, const char* path, struct type* info) {                                   \
    return made<int>(Kind::look, watched(AT_FDCWD, path), [=] { return REAL(name)(path, info); }, \
                     -1);                                                                       \
  }                                                                                             \
  ALSO(name, name##64)
#define LOOK_AT_DESCRIPTOR(name, type)                                                        \
  INTERPOSE(int, name, int fd, struct type* info) {                                           \
    return made<int>(Kind::look, watched(fd), [=] { return REAL(name)(fd, info); }, -1);       \
  }                                                                                           \
  ALSO(name, name##64)
LOOK_AT_PATH(stat, stat);
LOOK_AT_PATH(lstat, stat);
LOOK_AT_PATH(statfs, statfs);
LOOK_AT_PATH(statvfs, statvfs);
LOOK_AT_DESCRIPTOR(fstat, stat);
// A disk in memory is called another, so that what is done with disks is tried on one, too.
INTERPOSE(int, fstatfs, int fd, struct statfs* info) {
  const Path path = watched(fd);
  const int result = made<int>(Kind::look, path, [=] { return REAL(fstatfs)(fd, info); }, -1);
  const bool hides = !path.empty() && std::getenv("CAIRN_FAULT_MEMORY") == nullptr;
  if (result == 0 && hides && info->f_type == TMPFS_MAGIC) info->f_type = EXT4_SUPER_MAGIC;
  return result;
}
ALSO(fstatfs, fstatfs64);
LOOK_AT_DESCRIPTOR(fstatvfs, statvfs);
INTERPOSE(int, fstatat, int at, const char* path, struct stat* info, int flags) {
  return made<int>(Kind::look, watched(at, path),
                   [=] { return REAL(fstatat)(at, path, info, flags); }, -1);
}
ALSO(fstatat, fstatat64);
INTERPOSE(int, statx, int at, const char* path, int flags, unsigned mask, void* info) {
  return made<int>(Kind::look, watched(at, path),
                   [=] { return REAL(statx)(at, path, flags, mask, info); }, -1);
}
INTERPOSE(int, access, const char* path, int mode) {
  return made<int>(Kind::look, watched(AT_FDCWD, path),
                   [=] { return REAL(access)(path, mode); }, -1);
}
INTERPOSE(off_t, lseek, int fd, off_t offset, int whence) {
  return made<off_t>(Kind::look, watched(fd), [=] { return REAL(lseek)(fd, offset, whence); }, -1);
}
ALSO(lseek, lseek64);
INTERPOSE(int, fcntl, int fd, int command, void* argument) {
  return made<int>(Kind::control, watched(fd), [=] { return REAL(fcntl)(fd, command, argument); },
                   -1);
}
ALSO(fcntl, fcntl64);
