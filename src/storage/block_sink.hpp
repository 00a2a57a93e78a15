#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cairn/error.hpp"

namespace cairn::storage {

/// Where the finished blocks of a save go. Some sinks write by themselves, others only in turns
/// that all ranks take together.
class BlockSink {
 public:
  struct Completion {
    std::size_t token;
    std::optional<Error> error;
  };

  BlockSink() = default;
  BlockSink(const BlockSink&) = delete;
  BlockSink& operator=(const BlockSink&) = delete;
  virtual ~BlockSink() = default;

  /// Local. `bytes` must stay until the completion with this token is taken.
  virtual void submit(std::span<std::byte> bytes, std::uint64_t offset, std::size_t token) = 0;
  /// Local. The next block that is written, if any.
  virtual std::optional<Completion> poll() = 0;

  /// Takes one turn with the other ranks where one of the first `ready` is still to come, and may
  /// wait for them; returns whether it did. To be called again and again with what holds by then:
  /// the turn of round n may be taken when no rank needs anything more from this one for the blocks
  /// of rounds 0 to n, and this one's own are submitted or given up.
  virtual bool take_turn(std::size_t ready) {
    static_cast<void>(ready);
    return false;
  }
};

}  // namespace cairn::storage
