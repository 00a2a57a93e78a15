#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace cairn::storage {

/// Page-aligned memory straight from the system, for O_DIRECT. Contents start as anything: what is
/// given back is kept for the next one of that size.
class AlignedBuffer {
 public:
  /// Bytes that are kept in all: as much as the staging memory of one save or load, by default, and a
  /// head.
  static constexpr std::size_t kMostKept = std::size_t{80} << 20;

  AlignedBuffer() noexcept = default;
  /// Throws `std::bad_alloc`.
  explicit AlignedBuffer(std::size_t bytes);
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cairn::storage
