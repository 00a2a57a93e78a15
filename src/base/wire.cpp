#include "base/wire.hpp"

namespace cairn {

// Not inline: GCC 12 sees overflows there that are not there.
void WireWriter::append(const void* data, std::size_t count) {
  const auto* const begin = static_cast<const std::byte*>(data);
  bytes_.insert(bytes_.end(), begin, begin + count);
}

}  // namespace cairn
