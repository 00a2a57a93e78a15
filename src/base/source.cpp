#include "cairn/source.hpp"

#include <utility>

namespace cairn {

Source Source::memory(DType dtype, void* data) {
  Source source(dtype);
  source.data_ = static_cast<std::byte*>(data);
  source.writable_ = true;
  return source;
}

Source Source::memory(DType dtype, const void* data) {
  Source source = memory(dtype, const_cast<void*>(data));
  source.writable_ = false;
  return source;
}

Source Source::memory(DType dtype, void* data, std::vector<std::ptrdiff_t> byte_strides) {
  Source source = memory(dtype, data);
  source.byte_strides_ = std::move(byte_strides);
  return source;
}

Source Source::memory(DType dtype, const void* data, std::vector<std::ptrdiff_t> byte_strides) {
  Source source = memory(dtype, data);
  source.byte_strides_ = std::move(byte_strides);
  return source;
}

Source Source::callbacks(DType dtype, Read read, Write write) {
  Source source(dtype);
  source.read_ = std::move(read);
  source.write_ = std::move(write);
  return source;
}

}  // namespace cairn
