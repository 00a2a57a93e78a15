// What a test asks of the preloaded library (shim.cpp), which stands between the program and the C
// library: to count the calls on a directory, to let one of them go wrong, to write down what
// changes there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cairn::faults {

/// What a call does. Each is one bit, so that a fault may be about several.
enum class Kind : std::uint32_t {
  none = 0,
  open = 1U << 0U,     ///< of what is there
  create = 1U << 1U,   ///< open with O_CREAT
  read = 1U << 2U,
  write = 1U << 3U,
  resize = 1U << 4U,   ///< ftruncate, fallocate
  sync = 1U << 5U,
  rename = 1U << 6U,
  remove = 1U << 7U,
  make_directory = 1U << 8U,
  link = 1U << 9U,
  close = 1U << 10U,
  look = 1U << 11U,    ///< stat, statfs, lseek, access and their like
  list = 1U << 12U,    ///< readdir
  control = 1U << 13U, ///< fcntl: locks, flags
};
constexpr std::uint32_t bit(Kind kind) { return static_cast<std::uint32_t>(kind); }
template <class... Kinds>
constexpr std::uint32_t any_of(Kinds... kinds) { return (bit(kinds) | ...); }
inline constexpr std::uint32_t kEvery = ~0U;

enum class Deed : std::uint8_t {
  fail,     ///< the call is not made, and fails
  shorten,  ///< a read or write transfers a part
  die,      ///< SIGKILL before the call
};

/// At the `at`-th call of `kinds` on the watched directory, from 1.
struct Fault {
  Deed deed = Deed::fail;
  int error = 0;
  std::uint32_t kinds = kEvery;
  std::uint64_t at = 0;  ///< 0: never, only count
};

/// What happened since `arm`.
struct Happened {
  std::uint64_t calls = 0;  ///< of the fault's kinds
  Kind at = Kind::none;     ///< where it struck; none: it did not
  std::string what;         ///< "sync /directory/file"
  std::uint64_t same_later = 0;  ///< calls of that kind on that path after it struck
};

struct LogMemory;

class Shim {
 public:
  virtual ~Shim() = default;
  /// From here on only calls on this directory and below matter; empty: none do. `rank` is who
  /// writes in the log.
  virtual void watch(const std::string& root, int rank) = 0;
  virtual void arm(const Fault& fault) = 0;
  virtual Happened disarm() = 0;
  /// All that changes the directory goes to this log, shared by all ranks, in one order; null: no
  /// more.
  virtual void record(LogMemory* log) = 0;
  /// Tells the log what the program knows.
  virtual void mark(std::uint8_t mark, std::uint64_t value) = 0;
  /// A line for every call to this descriptor: "kind path"; negative: no more.
  virtual void trace(int descriptor) = 0;
};

/// Of the library, where it is preloaded; found by name.
inline constexpr const char* kShimFunction = "cairn_fault_shim";
using ShimFunction = Shim* (*)();
/// Null where it is not preloaded.
Shim* find_shim();

}  // namespace cairn::faults
