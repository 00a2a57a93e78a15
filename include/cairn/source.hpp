#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "cairn/dtype.hpp"
#include "cairn/export.hpp"

namespace cairn {

/// Where the elements of a slice live: in memory, or behind two callbacks. Owns none of it: what
/// it points to must live as long as the `State` that holds it is used.
class CAIRN_API Source {
 public:
  /// Reads elements `first` to `first + count` of the slice, in the slice's own row-major order,
  /// into `out`, which has `count * size_of(dtype)` bytes of no particular alignment.
  using Read = std::function<void(std::uint64_t first, std::uint64_t count, std::byte* out)>;
  /// Writes the same range from `in`.
  using Write = std::function<void(std::uint64_t first, std::uint64_t count, const std::byte* in)>;

  /// Elements in row-major order without gaps. `data` may be null for an empty slice.
  static Source memory(DType dtype, void* data);
  /// The same, to save from only: a load into it is an error.
  static Source memory(DType dtype, const void* data);
  /// `data` is the first element of the slice; going one step along dimension d moves by
  /// `byte_strides[d]` bytes. Ghost zones, padded rows and transposed arrays are normal;
  /// negative strides are fine.
  static Source memory(DType dtype, void* data, std::vector<std::ptrdiff_t> byte_strides);
  /// The same, to save from only.
  static Source memory(DType dtype, const void* data, std::vector<std::ptrdiff_t> byte_strides);
  /// Anything else, such as device memory. Called from the thread that is inside a Cairn call or,
  /// `read` with `lazy_capture`, from one of Cairn's, one call at a time.
  /// Without `write`, a load into it is an error.
  static Source callbacks(DType dtype, Read read, Write write = {});

  /// The type of an element.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  /// Whether there is memory; else there are callbacks.
  [[nodiscard]] bool in_memory() const noexcept { return !read_; }
  /// Whether a load can fill it.
  [[nodiscard]] bool writable() const noexcept { return read_ ? bool{write_} : writable_; }
  /// The first element; null for callbacks. Not to be written to unless `writable`.
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// Nothing: row-major without gaps.
  [[nodiscard]] const std::optional<std::vector<std::ptrdiff_t>>& byte_strides() const noexcept {
    return byte_strides_;
  }
  /// Empty for memory.
  [[nodiscard]] const Read& read() const noexcept { return read_; }
  /// Empty for memory, and for what can only be saved.
  [[nodiscard]] const Write& write() const noexcept { return write_; }

 private:
  explicit Source(DType dtype) : dtype_(dtype) {}

  DType dtype_;
  bool writable_ = false;
  std::byte* data_ = nullptr;
  std::optional<std::vector<std::ptrdiff_t>> byte_strides_;
  Read read_;
  Write write_;
};

}  // namespace cairn
