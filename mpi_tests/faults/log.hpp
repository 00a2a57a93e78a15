// The log of what changed a directory: the order is that of the calls, of all ranks.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cairn::faults {

enum class Op : std::uint8_t { create, make_directory, write, resize, sync, rename, remove, mark };

/// What stands in the log before the two texts and the data of an entry.
struct EntryHead {
  std::uint32_t total = 0;  ///< bytes of the entry, this included
  Op op = Op::mark;
  std::uint8_t mark = 0;
  std::int16_t rank = 0;
  std::uint64_t inode = 0;   ///< as the file system numbers it
  std::uint64_t offset = 0;  ///< of a write; the new length of a resize; the value of a mark
  std::uint32_t first = 0;   ///< bytes of the first text: a path below the root
  std::uint32_t second = 0;  ///< of the second: where a rename leads
  std::uint32_t data = 0;
};

/// Shared by the ranks; entries follow it.
struct LogMemory {
  pthread_mutex_t turn;
  std::uint64_t capacity = 0;
  std::uint64_t used = 0;
  bool overflow = false;

  std::byte* entries() { return reinterpret_cast<std::byte*>(this + 1); }
};

/// An entry where it lies.
struct Entry {
  Op op;
  std::uint8_t mark;
  int rank;
  std::uint64_t inode;
  std::uint64_t offset;
  std::string_view path;
  std::string_view to;
  std::span<const std::byte> data;
};

/// Memory that processes share which get the same file descriptor's path; the first one makes it.
LogMemory* make_log(const char* path, std::uint64_t capacity);
LogMemory* open_log(const char* path);
void close_log(LogMemory* log);

std::vector<Entry> entries_of(LogMemory& log);

}  // namespace cairn::faults
