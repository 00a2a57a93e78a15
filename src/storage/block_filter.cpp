#include "storage/block_filter.hpp"

#include <algorithm>
#include <cstring>

namespace cairn::storage {

void gather(std::span<const LooseBytes> loose, std::size_t at, std::span<std::byte> part) noexcept {
  const std::size_t end = at + part.size();
  for (const LooseBytes& piece : loose) {
    const std::size_t first = std::max(at, piece.at);
    const std::size_t last = std::min(end, piece.at + piece.bytes.size());
    if (first >= last) continue;
    std::memcpy(part.data() + (first - at), piece.bytes.data() + (first - piece.at), last - first);
  }
}

}  // namespace cairn::storage
