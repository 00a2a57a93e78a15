#include "base/map_index.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <string>
#include <utility>

#include "cairn/error.hpp"

namespace cairn {
namespace {

constexpr unsigned kStuck = 255;

}  // namespace

void MapIndex::Group::set(std::size_t slot, std::uint32_t tag, std::uint64_t number) noexcept {
  tags[slot] = static_cast<std::uint8_t>(tag);
  low[slot] = static_cast<std::uint32_t>(number);
  const std::uint32_t others = high & ~(3u << (2 * slot));
  high = (others | static_cast<std::uint32_t>(number >> 32) << (2 * slot)) & 0xffffff;
}

void MapIndex::reset(std::uint64_t count) {
  if (count > kMost) {
    throw Error(ErrorCode::invalid_argument, "a MapParameter with " + std::to_string(count) +
                                                 " entries on a rank: at most 2^34 expected");
  }
  constexpr std::size_t kLarge = std::size_t{2} << 20;
  const std::size_t groups = std::bit_ceil(std::max<std::size_t>((count + kLoad - 1) / kLoad, 1));
  const std::size_t bytes = groups * sizeof(Group);
  TableMemory memory = table_memory(bytes, bytes >= kLarge);
  std::uninitialized_value_construct_n(reinterpret_cast<Group*>(memory.get()), groups);
  groups_ = std::move(memory);
  mask_ = groups - 1;
}

void MapIndex::insert(std::uint64_t hash, std::uint64_t number) noexcept {
  for (Probe probe(*this, hash);; probe.advance()) {
    Group& here = group(probe.at);
    if (const unsigned empty = here.slots_of(0); empty != 0) {
      here.set(first_of(empty), probe.tag, number);
      return;
    }
    if (here.passed != kStuck) here.passed = (here.passed + 1) & kStuck;
  }
}

void MapIndex::remove(std::uint64_t hash, std::uint64_t number) noexcept {
  for (Probe probe(*this, hash);; probe.advance()) {
    Group& here = group(probe.at);
    for (unsigned hits = here.slots_of(probe.tag); hits != 0; hits &= hits - 1) {
      if (here.number(first_of(hits)) != number) continue;
      here.tags[first_of(hits)] = 0;
      return;
    }
    if (here.passed != kStuck) here.passed = (here.passed - 1) & kStuck;
  }
}

}  // namespace cairn
