#include "coord/live_supply.hpp"

#include "coord/gaps.hpp"
#include "coord/together.hpp"

namespace cairn::coord {

LiveSupply::LiveSupply(const plan::Routes& routes, std::span<const SliceAccess> slices,
                       Staging& staging)
    : routes_(routes), slices_(slices), staging_(staging) {
  for (std::size_t i = 0; i < staging.slot_count(); ++i) free_.push_back(staging.slot(i));
}

std::optional<Supply::Open> LiveSupply::open(std::size_t n) {
  if (free_.empty()) return std::nullopt;
  Open open{free_.back(), {}};
  free_.pop_back();
  const plan::OwnedBlock& block = routes_.blocks[n];
  zero_gaps(routes_, block, open.bytes);
  fill(block, open);
  return open;
}

void LiveSupply::close(std::span<std::byte> block) { free_.push_back(block); }

void LiveSupply::fill(const plan::OwnedBlock& block, Open& open) {
  const std::uint64_t begin = block.block * routes_.block_bytes;
  for (const std::uint32_t i : block.mine) {
    const plan::Holding& holding = routes_.mine[i];
    const std::uint64_t first = bytes_before(holding.image, begin);
    const std::uint64_t last = bytes_before(holding.image, begin + routes_.block_bytes);
    const SliceAccess& slice = slices_[holding.entry];
    const auto at = single_run(holding.image, first, last);
    const std::byte* const run = at ? slice.in_place(first, last) : nullptr;
    if (run != nullptr) {
      const std::size_t in_block = static_cast<std::uint64_t>(*at) - begin;
      open.loose.push_back({in_block, {run, last - first}});
      continue;
    }
    note(attempt([&] {
      slice.read_into_image(first, last, holding.image, open.bytes.data(), begin);
    }));
  }
}

const std::byte* LiveSupply::outgoing(std::size_t n) {
  const plan::Message& message = routes_.messages[n];
  if (message.holdings.size() == 1) {
    const plan::Holding& front = routes_.mine[message.holdings.front()];
    const std::uint64_t first = bytes_before(front.image, message.block * routes_.block_bytes);
    const std::byte* const bytes = slices_[front.entry].in_place(first, first + message.bytes);
    if (bytes != nullptr) return bytes;
  }
  std::byte* const packed = staging_.outgoing().try_take(message.bytes);
  if (packed == nullptr) return nullptr;
  pack(message, packed);
  packed_.emplace(n, packed);
  return packed;
}

void LiveSupply::pack(const plan::Message& message, std::byte* packed) {
  plan::for_each_piece(message, routes_.mine, routes_.block_bytes,
                       [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                         note(attempt([&] {
                           slices_[routes_.mine[i].entry].read(first, last, packed);
                         }));
                         packed += last - first;
                       });
}

void LiveSupply::sent(std::size_t n) {
  const auto packed = packed_.find(n);
  if (packed == packed_.end()) return;
  staging_.outgoing().give_back(packed->second);
  packed_.erase(packed);
}

void LiveSupply::note(std::optional<Error> error) {
  if (error && !error_) error_ = std::move(error);
}

}  // namespace cairn::coord
