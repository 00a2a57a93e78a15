#include "base/table_memory.hpp"

#include <sys/mman.h>

namespace cairn {

TableMemory table_memory(std::size_t bytes, bool in_huge_pages) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  FreeTableMemory free;
  if (in_huge_pages) free.alignment = std::align_val_t{kHugePage};
  TableMemory memory(static_cast<std::byte*>(::operator new(bytes, free.alignment)), free);
  if (in_huge_pages) static_cast<void>(::madvise(memory.get(), bytes, MADV_HUGEPAGE));
  return memory;
}

}  // namespace cairn
