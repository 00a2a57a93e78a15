#include "coord/staging.hpp"

#include <algorithm>

namespace cairn::coord {
namespace {

/// Pieces begin where wide copies like it.
constexpr std::size_t kPieceAlignment = 64;

/// Of the budget a quarter for each arena, the rest for slots.
std::size_t blocks_in(std::size_t budget, std::size_t block_bytes) {
  return std::max<std::size_t>(budget / block_bytes, 4);
}

}  // namespace

std::byte* RingArena::try_take(std::size_t bytes) {
  bytes = (bytes + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment;
  std::size_t begin = 0;
  if (!pieces_.empty()) {
    const std::size_t tail = pieces_.front().begin;
    const std::size_t head = pieces_.back().end;
    const bool wrapped = pieces_.back().begin < tail;
    begin = head;
    if (wrapped) {
      if (tail - head < bytes) return nullptr;
    } else if (buffer_.size() - head < bytes) {
      if (tail < bytes) return nullptr;
      begin = 0;
    }
  }
  if (bytes > buffer_.size()) return nullptr;
  pieces_.push_back({begin, begin + bytes});
  return buffer_.data() + begin;
}

void RingArena::give_back(const std::byte* piece) {
  const auto begin = static_cast<std::size_t>(piece - buffer_.data());
  const auto at = std::ranges::find(pieces_, begin, &Piece::begin);
  at->returned = true;
  while (!pieces_.empty() && pieces_.front().returned) pieces_.pop_front();
}

Staging::Staging(std::size_t block_bytes, std::size_t budget)
    : block_bytes_(block_bytes),
      budget_(budget),
      arena_bytes_(blocks_in(budget, block_bytes) / 4 * block_bytes),
      slot_count_(blocks_in(budget, block_bytes) - 2 * (blocks_in(budget, block_bytes) / 4)),
      slots_(slot_count_ * block_bytes),
      incoming_(arena_bytes_),
      outgoing_(arena_bytes_) {}

std::span<std::byte> Staging::slot(std::size_t i) const {
  return slots_.bytes().subspan(i * block_bytes_, block_bytes_);
}

std::uint64_t Staging::bytes() const noexcept { return slots_.size() + 2 * arena_bytes_; }

}  // namespace cairn::coord
