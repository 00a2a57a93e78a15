#include "mapping.hpp"

#include <sys/mman.h>

namespace bench {

void Unmap::operator()(std::byte* memory) const noexcept { ::munmap(memory, bytes); }

Mapping map_memory(std::uint64_t bytes, Pages pages) noexcept {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  static_cast<void>(
      ::madvise(memory, bytes, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  return Mapping(static_cast<std::byte*>(memory), Unmap{bytes});
}

}  // namespace bench
