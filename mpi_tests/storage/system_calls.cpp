// The C library's functions of these names, as every object of this program finds them first.
#include "storage/system_calls.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <utility>

namespace cairn::testing {
namespace {

std::function<int(Call)>& watcher() {
  static std::function<int(Call)> before;
  return before;
}

/// Whether the call may be made; else errno is set.
bool may(Call call) {
  if (!watcher()) return true;
  const auto before = std::exchange(watcher(), {});  // what it does itself is not watched
  const int refusal = before(call);
  watcher() = before;
  errno = refusal;
  return refusal == 0;
}

}  // namespace

CallWatch::CallWatch(std::function<int(Call)> before) {
  watcher() = std::move(before);
}
CallWatch::~CallWatch() {
  watcher() = {};
}

}  // namespace cairn::testing

namespace {

using cairn::testing::Call;
using cairn::testing::may;

template <class... Arguments>
int made(Call call, long number, Arguments... arguments) {
  return may(call) ? static_cast<int>(::syscall(number, arguments...)) : -1;
}

}  // namespace

extern "C" {

int rename(const char* from, const char* to) noexcept {
  return made(Call::rename, SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int fsync(int fd) {
  return made(Call::sync, SYS_fsync, fd);
}

int mkdir(const char* path, mode_t mode) noexcept {
  return made(Call::make_directory, SYS_mkdirat, AT_FDCWD, path, mode);
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  return made(Call::remove, SYS_unlinkat, directory, path, flags);
}

int remove(const char* path) noexcept {
  if (!may(Call::remove)) return -1;
  const long failed = ::syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (failed == 0 || errno != EISDIR) return static_cast<int>(failed);
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}

int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* const argument = va_arg(list, void*);
  va_end(list);
  if (command == F_OFD_SETLK && !may(Call::lock)) return -1;
  return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
}

}  // extern "C"
