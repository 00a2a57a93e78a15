#include "storage/stored_object.hpp"

#include <algorithm>

#include "cairn/error.hpp"
#include "storage/image_format.hpp"

namespace cairn::storage {

void refuse_object(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::damaged, "'" + path + "' " + why);
}

std::uint64_t checked_bytes(const Shape& shape, DType dtype, const std::string& path) {
  if (std::ranges::find(shape, std::uint64_t{0}) != shape.end()) return 0;
  std::uint64_t bytes = size_of(dtype);
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > kLargestImage) {
      refuse_object(path, "has the impossible shape " + to_string(shape));
    }
  }
  return bytes;
}

}  // namespace cairn::storage
