#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace bench {

/// What memory of tensors is made of. Debian and others give large arrays huge pages by themselves
/// (/sys/kernel/mm/transparent_hugepage/enabled: always); where the system wants to be asked, those of
/// most programs are small.
enum class Pages : bool { small, huge };

/// Gives a mapping back to the kernel.
struct Unmap {
  std::size_t bytes = 0;
  void operator()(std::byte* memory) const noexcept;
};
using Mapping = std::unique_ptr<std::byte, Unmap>;

/// Local. Memory that nothing has touched yet; null where there is none. `bytes` > 0.
Mapping map_memory(std::uint64_t bytes, Pages pages) noexcept;

}  // namespace bench
