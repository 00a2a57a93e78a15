#include "faults/log.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "faults/shim.hpp"

namespace cairn::faults {
namespace {

LogMemory* map(int fd, std::uint64_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<LogMemory*>(memory);
}

}  // namespace

Shim* find_shim() {
  const auto function = reinterpret_cast<ShimFunction>(::dlsym(RTLD_DEFAULT, kShimFunction));
  return function == nullptr ? nullptr : function();
}

LogMemory* make_log(const char* path, std::uint64_t capacity) {
  const int fd = ::open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::uint64_t bytes = sizeof(LogMemory) + capacity;
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return nullptr;
  LogMemory* const log = map(fd, bytes);
  if (log == nullptr) return nullptr;
  new (log) LogMemory{};
  log->capacity = capacity;
  pthread_mutexattr_t shared;
  ::pthread_mutexattr_init(&shared);
  ::pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  ::pthread_mutex_init(&log->turn, &shared);
  ::pthread_mutexattr_destroy(&shared);
  return log;
}

LogMemory* open_log(const char* path) {
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return nullptr;
  return map(fd, static_cast<std::uint64_t>(info.st_size));
}

void close_log(LogMemory* log) { ::munmap(log, sizeof(LogMemory) + log->capacity); }

std::vector<Entry> entries_of(LogMemory& log) {
  std::vector<Entry> entries;
  for (std::uint64_t at = 0; at < log.used;) {
    const std::byte* const place = log.entries() + at;
    EntryHead head;
    std::memcpy(&head, place, sizeof head);
    const auto* const text = reinterpret_cast<const char*>(place + sizeof head);
    entries.push_back({head.op, head.mark, head.rank, head.inode, head.offset,
                       std::string_view(text, head.first),
                       std::string_view(text + head.first, head.second),
                       std::span(place + sizeof head + head.first + head.second, head.data)});
    at += head.total;
  }
  return entries;
}

}  // namespace cairn::faults
