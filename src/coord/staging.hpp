#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "storage/aligned_buffer.hpp"

namespace cairn::coord {

/// Hands out pieces of one buffer; they come back in nearly the order they went out.
class RingArena {
 public:
  /// `bytes` is a multiple of 64.
  explicit RingArena(std::size_t bytes) : buffer_(bytes) {}

  /// `bytes` > 0. Null where there is no room now. An empty arena has room for its whole size.
  std::byte* try_take(std::size_t bytes);
  void give_back(const std::byte* piece);

 private:
  struct Piece {
    std::size_t begin;
    std::size_t end;
    bool returned = false;
  };

  storage::AlignedBuffer buffer_;
  std::deque<Piece> pieces_;
};

/// The bounded memory that a save or load moves values through, kept from one to the next:
/// slots of one block each, and two arenas for messages on their way in and out.
class Staging {
 public:
  /// Within `budget` bytes, but never less than four blocks.
  Staging(std::size_t block_bytes, std::size_t budget);

  [[nodiscard]] std::size_t block_bytes() const noexcept { return block_bytes_; }
  [[nodiscard]] std::size_t budget() const noexcept { return budget_; }
  [[nodiscard]] std::size_t slot_count() const noexcept { return slot_count_; }
  [[nodiscard]] std::span<std::byte> slot(std::size_t i) const;
  [[nodiscard]] RingArena& incoming() noexcept { return incoming_; }
  [[nodiscard]] RingArena& outgoing() noexcept { return outgoing_; }
  /// Bytes in all buffers.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

 private:
  std::size_t block_bytes_;
  std::size_t budget_;
  std::size_t arena_bytes_;
  std::size_t slot_count_;
  storage::AlignedBuffer slots_;
  RingArena incoming_;
  RingArena outgoing_;
};

}  // namespace cairn::coord
