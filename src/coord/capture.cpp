#include "coord/capture.hpp"

#include <algorithm>

#include "coord/gaps.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

constexpr std::size_t kMostOpen = 16;
/// Messages begin where wide copies like it.
constexpr std::uint64_t kMessageAlignment = 64;

}  // namespace

Capture::Capture(const plan::Routes& routes, storage::AlignedBuffer& memory) : routes_(routes) {
  std::uint64_t end = 0;
  message_at_.reserve(routes.messages.size());
  for (const plan::Message& message : routes.messages) {
    message_at_.push_back(end);
    end += (message.bytes + kMessageAlignment - 1) / kMessageAlignment * kMessageAlignment;
  }
  const std::uint64_t own = routes.blocks.size() * routes.block_bytes;
  if (memory.size() < own + end) {
    memory = storage::AlignedBuffer();  // not both at once
    memory = storage::AlignedBuffer(own + end);
  }
  blocks_ = memory.bytes().first(own);
  messages_ = memory.bytes().subspan(own, end);
}

std::span<std::byte> Capture::block(std::size_t n) const {
  return blocks_.subspan(n * routes_.block_bytes, routes_.block_bytes);
}

void Capture::take(std::span<const SliceAccess> slices, std::size_t end) {
  const auto failed = attempt([&] {
    for (std::size_t n = 0; n < routes_.blocks.size(); ++n) {
      zero_gaps(routes_, routes_.blocks[n], block(n));
    }
    for (const plan::Holding& holding : routes_.mine) {
      if (holding.entry < end) take_own(slices, holding);
    }
    for (std::size_t n = 0; n < routes_.messages.size(); ++n) pack(slices, n, 0, end);
  });
  if (failed) spoil(*failed);
}

void Capture::take_rounds(std::span<const SliceAccess> slices, std::size_t begin,
                          std::size_t first, std::size_t last) {
  const auto failed = attempt([&] {
    for (std::size_t n = first; n < std::min(last, routes_.blocks.size()); ++n) {
      for (const std::uint32_t i : routes_.blocks[n].mine) {
        if (routes_.mine[i].entry >= begin) take_piece(slices, n, routes_.mine[i]);
      }
    }
    const auto& messages = routes_.messages;
    auto at = std::ranges::lower_bound(messages, first, {}, &plan::Message::round);
    for (; at != messages.end() && at->round < last; ++at) {
      pack(slices, static_cast<std::size_t>(at - messages.begin()), begin, kAll);
    }
  });
  if (failed) spoil(*failed);
}

/// The part of a holding that lies in the n-th block.
void Capture::take_piece(std::span<const SliceAccess> slices, std::size_t n,
                         const plan::Holding& holding) {
  const std::uint64_t begin = routes_.blocks[n].block * routes_.block_bytes;
  const std::uint64_t first = bytes_before(holding.image, begin);
  const std::uint64_t last = bytes_before(holding.image, begin + routes_.block_bytes);
  slices[holding.entry].read_into_image(first, last, holding.image, block(n).data(), begin);
}

/// Copies what goes to blocks of this rank. Blocks that are neighbours in the image and belong to
/// this rank are neighbours here too, so they take one copy.
void Capture::take_own(std::span<const SliceAccess> slices, const plan::Holding& holding) {
  const auto& owned = routes_.blocks;
  const std::uint64_t block_bytes = routes_.block_bytes;
  for (const plan::BlockRange& range : holding.blocks) {
    auto at = std::ranges::lower_bound(owned, range.first, {}, &plan::OwnedBlock::block);
    while (at != owned.end() && at->block < range.last) {
      auto end = at + 1;
      while (end != owned.end() && end->block < range.last &&
             end->block == (end - 1)->block + 1) {
        ++end;
      }
      const std::uint64_t begin = at->block * block_bytes;
      const std::uint64_t first = bytes_before(holding.image, begin);
      const std::uint64_t last = bytes_before(holding.image, ((end - 1)->block + 1) * block_bytes);
      const auto n = static_cast<std::size_t>(at - owned.begin());
      slices[holding.entry].read_into_image(first, last, holding.image, block(n).data(), begin);
      at = end;
    }
  }
}

/// The pieces of entries from number `begin` to `end`.
void Capture::pack(std::span<const SliceAccess> slices, std::size_t n, std::size_t begin,
                   std::size_t end) {
  std::byte* packed = messages_.data() + message_at_[n];
  plan::for_each_piece(routes_.messages[n], routes_.mine, routes_.block_bytes,
                       [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                         const std::size_t entry = routes_.mine[i].entry;
                         if (entry >= begin && entry < end) slices[entry].read(first, last, packed);
                         packed += last - first;
                       });
}

void Capture::spoil(const Error& error) {
  if (!error_) error_ = error;
}

std::optional<Supply::Open> Capture::open(std::size_t n) {
  if (open_ == kMostOpen) return std::nullopt;
  ++open_;
  return Open{block(n), {}};
}

void Capture::close(std::span<std::byte>) { --open_; }

const std::byte* Capture::outgoing(std::size_t n) { return messages_.data() + message_at_[n]; }

void Capture::sent(std::size_t) {}

}  // namespace cairn::coord
