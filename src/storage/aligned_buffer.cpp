#include "storage/aligned_buffer.hpp"

#include <sys/mman.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <new>
#include <vector>

namespace cairn::storage {
namespace {

/// Before Linux 5.18 the system could take such a page just when a direct read was about to fill it: zeros
/// stood for what was read.
bool may_leave_pages_to_system() noexcept {
  utsname system{};
  int major = 0;
  int minor = 0;
  return ::uname(&system) == 0 && std::sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
         (major > 5 || (major == 5 && minor >= 18));
}

/// Buffers that were given back, for the next ones of their size: fresh pages must be cleared, which
/// may take longer than to fill them.
class Spares {
 public:
  /// Null where there is none of that size.
  std::byte* take(std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(spares_, bytes, &std::span<std::byte>::size);
    if (found == spares_.end()) return nullptr;
    std::byte* const data = found->data();
    spares_.erase(found);
    kept_ -= bytes;
    return data;
  }

  /// False where it is too much to keep; those that nobody asked for longest go for it. The system may
  /// take the pages where it runs out of others.
  bool keep(std::span<std::byte> buffer) noexcept {
    const std::lock_guard lock(mutex_);
    if (buffer.size() > AlignedBuffer::kMostKept || !may_leave_pages_) return false;
    while (buffer.size() > AlignedBuffer::kMostKept - kept_) drop_oldest();
    if (::madvise(buffer.data(), buffer.size(), MADV_FREE) != 0) return false;
    try {
      spares_.push_back(buffer);
    } catch (const std::bad_alloc&) {
      return false;
    }
    kept_ += buffer.size();
    return true;
  }

 private:
  void drop_oldest() noexcept {
    const std::span<std::byte> oldest = spares_.front();
    ::munmap(oldest.data(), oldest.size());
    kept_ -= oldest.size();
    spares_.erase(spares_.begin());
  }

  std::mutex mutex_;
  std::vector<std::span<std::byte>> spares_;  ///< as they were given back
  std::size_t kept_ = 0;
  const bool may_leave_pages_ = may_leave_pages_to_system();
};

/// Never destroyed: buffers of static objects may be given back at any time.
Spares& spares() noexcept {
  static Spares& all = *new Spares;
  return all;
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  data_ = spares().take(bytes);
  if (data_ != nullptr) return;
  // The system places large mappings so that huge pages fit; it need not give any.
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  static_cast<void>(::madvise(memory, bytes, MADV_HUGEPAGE));
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr && !spares().keep(bytes())) ::munmap(data_, size_);
}

}  // namespace cairn::storage
