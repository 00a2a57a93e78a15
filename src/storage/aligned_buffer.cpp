#include "storage/aligned_buffer.hpp"

#include <sys/mman.h>

#include <new>

namespace cairn::storage {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  // The system places large mappings so that huge pages fit; it need not give any.
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  static_cast<void>(::madvise(memory, bytes, MADV_HUGEPAGE));
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace cairn::storage
