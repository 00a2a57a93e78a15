#include "coord/gaps.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace cairn::coord {
namespace {

/// Runs of bytes of one block: where each begins, and its length.
using Runs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

/// Adds where the bytes of `image` lie in the block at `begin`; false where that is several runs.
bool add_run(Runs& runs, const Strided& image, std::uint64_t begin, std::uint64_t block_bytes) {
  const std::uint64_t first = bytes_before(image, begin);
  const std::uint64_t last = bytes_before(image, begin + block_bytes);
  const auto at = single_run(image, first, last);
  if (at) runs.emplace_back(static_cast<std::uint64_t>(*at) - begin, last - first);
  return at.has_value();
}

/// All pieces of the block; none where one of them is in several runs.
Runs runs_of(const plan::Routes& routes, const plan::OwnedBlock& block) {
  const std::uint64_t begin = block.block * routes.block_bytes;
  Runs runs;
  for (const std::uint32_t i : block.mine) {
    if (!add_run(runs, routes.mine[i].image, begin, routes.block_bytes)) return {};
  }
  for (const plan::Message& message : block.messages) {
    const auto& remote = routes.theirs[static_cast<std::size_t>(message.peer)];
    for (const std::uint32_t i : message.holdings) {
      if (!add_run(runs, remote[i].image, begin, routes.block_bytes)) return {};
    }
  }
  std::ranges::sort(runs);
  return runs;
}

}  // namespace

void zero_gaps(const plan::Routes& routes, const plan::OwnedBlock& block,
               std::span<std::byte> bytes) {
  if (block.bytes >= bytes.size()) return;
  std::uint64_t end = 0;  // of what is covered or zero
  for (const auto& [at, count] : runs_of(routes, block)) {
    if (at > end) std::memset(bytes.data() + end, 0, at - end);
    end = std::max(end, at + count);
  }
  std::memset(bytes.data() + end, 0, bytes.size() - end);
}

}  // namespace cairn::coord
