#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cairn/export.hpp"

namespace cairn {

/// Nanoseconds since 1970 as a time point.
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// Tells the checkpoints of one run from those of another. All zero: none.
using RunId = std::array<std::byte, 16>;

/// How the bytes of the values reach the file. All give the same file, byte for byte.
enum class Writer : std::uint8_t {
  direct,  ///< whole blocks by POSIX calls, past the page cache where the file system takes it
  hdf5,    ///< the reference: collective H5Dwrite through HDF5's MPI-IO driver; slower
};

/// Local. The name as it stands above: "direct".
CAIRN_API std::string_view to_string(Writer writer) noexcept;

/// How to write, apart from what.
struct WriteOptions {
  /// The same on every rank.
  Writer writer = Writer::direct;
  /// Upper bound of a block's bytes, a power of two from 64 KiB to 1 GiB: the unit of ownership,
  /// of I/O and of verification. Small checkpoints take smaller blocks by themselves. Larger ones
  /// write faster on striped file systems; a load reads whole blocks.
  std::size_t block_bytes = std::size_t{4} << 20;
  /// Bytes of values that a rank may hold in buffers at a time, beside its own slices. At least
  /// four blocks are taken whatever is said.
  std::size_t staging_bytes = std::size_t{64} << 20;
  /// false: a crash of the machine (not of the job) may lose the newest checkpoint.
  bool durable = true;
  /// Seconds that a rank waits for another one inside a call before it throws `unresponsive`.
  std::chrono::seconds deadline{600};
};

}  // namespace cairn
