#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace cairn {

/// Frees what `table_memory` gave.
struct FreeTableMemory {
  std::align_val_t alignment{64};

  void operator()(std::byte* memory) const noexcept { ::operator delete(memory, alignment); }
};

/// Memory that is looked into at random places; it begins with a cache line.
using TableMemory = std::unique_ptr<std::byte, FreeTableMemory>;

/// So many bytes, not initialised. In huge pages, where the system has them: in a table of
/// gigabytes most of a lookup is else the search for its pages. They take memory by 2 MiB, which a
/// small table should not. Throws `bad_alloc`.
TableMemory table_memory(std::size_t bytes, bool in_huge_pages);

}  // namespace cairn
