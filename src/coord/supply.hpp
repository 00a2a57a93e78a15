#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "cairn/error.hpp"
#include "storage/block_filter.hpp"

namespace cairn::coord {

/// Where the bytes of a save come from: this rank's own blocks, with its own pieces in them, and its
/// messages to the owners of other blocks. Blocks and messages are counted as the routes have them.
class Supply {
 public:
  Supply() = default;
  Supply(const Supply&) = delete;
  Supply& operator=(const Supply&) = delete;
  virtual ~Supply() = default;

  /// A block that is being put together.
  struct Open {
    std::span<std::byte> bytes;
    /// This rank's pieces that are not in it yet: whoever writes the block copies them.
    std::vector<storage::LooseBytes> loose;
  };

  /// The memory of the n-th block: this rank's other pieces in it, zeros where nobody's are. Nothing:
  /// there is no room now. Blocks are opened in order.
  virtual std::optional<Open> open(std::size_t n) = 0;
  /// What `open` gave is written, or given up.
  virtual void close(std::span<std::byte> block) = 0;
  /// The bytes of the n-th message, which stay until `sent(n)`. Null: there is no room now. Messages
  /// are asked for in order.
  virtual const std::byte* outgoing(std::size_t n) = 0;
  virtual void sent(std::size_t n) = 0;
  /// The first error of reading values, so far.
  [[nodiscard]] virtual const std::optional<Error>& error() const = 0;
};

}  // namespace cairn::coord
