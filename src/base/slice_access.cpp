#include "base/slice_access.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace cairn {
namespace {

/// No element is larger (complex128).
constexpr std::size_t kLargestElement = 16;

/// Calls `whole(first element, count, byte offset)` for the elements that lie in local bytes
/// [first, last), and `part(element, begin, end, byte offset)` for those that a block boundary cuts.
template <class Whole, class Part>
void by_elements(std::uint64_t first, std::uint64_t last, std::size_t size, Whole&& whole,
                 Part&& part) {
  std::uint64_t at = first;
  if (at % size != 0) {
    const std::uint64_t end = std::min(last, (at / size + 1) * size);
    part(at / size, at % size, end - at / size * size, std::uint64_t{0});
    at = end;
  }
  if (const std::uint64_t count = (last - at) / size; count > 0) {
    whole(at / size, count, at - first);
    at += count * size;
  }
  if (at < last) part(at / size, std::uint64_t{0}, last - at, at - first);
}

}  // namespace

SliceAccess::SliceAccess(const State::Entry& entry)
    : entry_(&entry),
      element_bytes_(size_of(entry.source.dtype())),
      memory_(memory_place(entry.slice.extent, element_bytes_, entry.source.byte_strides())) {}

std::byte* SliceAccess::in_place(std::uint64_t first, std::uint64_t last) const {
  if (!entry_->source.in_memory()) return nullptr;
  const auto position = single_run(memory_, first, last);
  return position ? entry_->source.data() + *position : nullptr;
}

void SliceAccess::read(std::uint64_t first, std::uint64_t last, std::byte* packed) const {
  const Source& source = entry_->source;
  if (source.in_memory()) {
    copy_local(memory_, source.data(), packed_place(first, last), packed, first, last);
    return;
  }
  by_elements(
      first, last, element_bytes_,
      [&](std::uint64_t element, std::uint64_t count, std::uint64_t at) {
        source.read()(element, count, packed + at);
      },
      [&](std::uint64_t element, std::uint64_t begin, std::uint64_t end, std::uint64_t at) {
        std::array<std::byte, kLargestElement> cut;
        source.read()(element, 1, cut.data());
        std::memcpy(packed + at, cut.data() + begin, end - begin);
      });
}

void SliceAccess::write(std::uint64_t first, std::uint64_t last, const std::byte* packed) const {
  const Source& source = entry_->source;
  if (source.in_memory()) {
    copy_local(packed_place(first, last), packed, memory_, source.data(), first, last);
    return;
  }
  by_elements(
      first, last, element_bytes_,
      [&](std::uint64_t element, std::uint64_t count, std::uint64_t at) {
        source.write()(element, count, packed + at);
      },
      [&](std::uint64_t element, std::uint64_t begin, std::uint64_t end, std::uint64_t at) {
        std::array<std::byte, kLargestElement> cut;
        source.read()(element, 1, cut.data());
        std::memcpy(cut.data() + begin, packed + at, end - begin);
        source.write()(element, 1, cut.data());
      });
}

void SliceAccess::read_into_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                                  std::byte* block, std::uint64_t origin) const {
  std::byte* const image_origin = block - origin;
  if (entry_->source.in_memory()) {
    copy_local(memory_, entry_->source.data(), image, image_origin, first, last);
    return;
  }
  std::vector<std::byte> packed(last - first);
  read(first, last, packed.data());
  copy_local(packed_place(first, last), packed.data(), image, image_origin, first, last);
}

void SliceAccess::write_from_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                                   const std::byte* block, std::uint64_t origin) const {
  const std::byte* const image_origin = block - origin;
  if (entry_->source.in_memory()) {
    copy_local(image, image_origin, memory_, entry_->source.data(), first, last);
    return;
  }
  std::vector<std::byte> packed(last - first);
  copy_local(image, image_origin, packed_place(first, last), packed.data(), first, last);
  write(first, last, packed.data());
}

}  // namespace cairn
