#include "base/slice_access.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/convert.hpp"
#include "base/tensor.hpp"
#include "cairn/error.hpp"

namespace cairn {
namespace {

/// No element is larger (complex128).
constexpr std::size_t kLargestElement = 16;

/// Calls `whole(first element, count, byte offset)` for the elements that lie in local bytes
/// [first, last), and `part(element, begin, end, byte offset)` for those that a block boundary cuts.
template <class Whole, class Part>
void by_elements(std::uint64_t first, std::uint64_t last, std::size_t size, Whole&& whole,
                 Part&& part) {
  if (first >= last) return;
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

Box box_of(const State::Entry& entry) { return {entry.slice.offset, entry.slice.extent}; }

SliceAccess::SliceAccess(const State::Entry& entry, const Box& box)
    : entry_(&entry), element_bytes_(size_of(entry.source.dtype())) {
  Slice inside{entry.slice.extent, box.offset, box.extent};
  for (std::size_t d = 0; d < box.offset.size(); ++d) inside.offset[d] -= entry.slice.offset[d];
  in_slice_ = image_place(inside, element_bytes_, 0);
  memory_ = in_slice_;
  if (const auto& strides = entry.source.byte_strides()) {
    memory_ = memory_place(box.extent, element_bytes_, strides);
    for (std::size_t d = 0; d < strides->size(); ++d) {
      memory_.base += static_cast<std::int64_t>(inside.offset[d]) * (*strides)[d];
    }
  }
}

std::byte* SliceAccess::in_place(std::uint64_t first, std::uint64_t last) const {
  if (!entry_->source.in_memory()) return nullptr;
  const auto position = single_run(memory_, first, last);
  return position ? entry_->source.data() + *position : nullptr;
}

/// Calls `visit(first, last, at)` for each range of the slice's local bytes that [first, last) of
/// the box is made of; `at` counts from `first` on.
template <class Visit>
void SliceAccess::by_ranges_of_slice(std::uint64_t first, std::uint64_t last,
                                     Visit&& visit) const {
  RunCursor cursor(in_slice_, first);
  for (std::uint64_t at = first; at < last;) {
    const std::uint64_t n = std::min(last - at, cursor.left());
    const auto begin = static_cast<std::uint64_t>(cursor.position());
    visit(begin, begin + n, at - first);
    cursor.advance(n);
    at += n;
  }
}

void SliceAccess::read(std::uint64_t first, std::uint64_t last, std::byte* packed) const {
  const Source& source = entry_->source;
  if (source.in_memory()) {
    copy_local(memory_, source.data(), packed_place(first, last), packed, first, last);
    return;
  }
  by_ranges_of_slice(first, last, [&](std::uint64_t begin, std::uint64_t end, std::uint64_t base) {
    by_elements(
        begin, end, element_bytes_,
        [&](std::uint64_t element, std::uint64_t count, std::uint64_t at) {
          source.read()(element, count, packed + base + at);
        },
        [&](std::uint64_t element, std::uint64_t from, std::uint64_t to, std::uint64_t at) {
          std::array<std::byte, kLargestElement> cut;
          source.read()(element, 1, cut.data());
          std::memcpy(packed + base + at, cut.data() + from, to - from);
        });
  });
}

void SliceAccess::write(std::uint64_t first, std::uint64_t last, const std::byte* packed) const {
  const Source& source = entry_->source;
  if (source.in_memory()) {
    copy_local(packed_place(first, last), packed, memory_, source.data(), first, last);
    return;
  }
  by_ranges_of_slice(first, last, [&](std::uint64_t begin, std::uint64_t end, std::uint64_t base) {
    by_elements(
        begin, end, element_bytes_,
        [&](std::uint64_t element, std::uint64_t count, std::uint64_t at) {
          source.write()(element, count, packed + base + at);
        },
        [&](std::uint64_t element, std::uint64_t from, std::uint64_t to, std::uint64_t at) {
          std::array<std::byte, kLargestElement> cut;
          source.read()(element, 1, cut.data());
          std::memcpy(cut.data() + from, packed + base + at, to - from);
          source.write()(element, 1, cut.data());
        });
  });
}

void SliceAccess::read_into_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                                  std::byte* block, std::uint64_t origin) const {
  std::byte* const image_origin = block - origin;
  if (entry_->source.in_memory()) {
    copy_local(memory_, entry_->source.data(), image, image_origin, first, last);
    return;
  }
  constexpr std::uint64_t kAtATime = std::uint64_t{4} << 20;
  std::vector<std::byte> packed(std::min(last - first, kAtATime));
  for (std::uint64_t at = first; at < last; at += packed.size()) {
    const std::uint64_t end = std::min<std::uint64_t>(last, at + packed.size());
    read(at, end, packed.data());
    copy_local(packed_place(at, end), packed.data(), image, image_origin, at, end);
  }
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

SliceFiller::SliceFiller(const State::Entry& entry, const Box& box, DType stored,
                         bool allow_overflow)
    : entry_(&entry),
      access_(entry, box),
      stored_(stored),
      converts_(stored != entry.source.dtype()),
      allow_overflow_(allow_overflow) {}

std::byte* SliceFiller::in_place(std::uint64_t first, std::uint64_t last) const {
  return converts_ ? nullptr : access_.in_place(first, last);
}

void SliceFiller::write(std::uint64_t first, std::uint64_t last, const std::byte* packed) {
  if (!converts_) {
    access_.write(first, last, packed);
    return;
  }
  by_elements(
      first, last, size_of(stored_),
      [&](std::uint64_t element, std::uint64_t count, std::uint64_t at) {
        convert_whole(element, count, packed + at);
      },
      [&](std::uint64_t element, std::uint64_t begin, std::uint64_t end, std::uint64_t at) {
        add_part(element, begin, end, packed + at);
      });
}

void SliceFiller::write_from_image(std::uint64_t first, std::uint64_t last, const Strided& image,
                                   const std::byte* block, std::uint64_t origin) {
  if (!converts_) {
    access_.write_from_image(first, last, image, block, origin);
    return;
  }
  std::vector<std::byte> packed(last - first);
  copy_local(image, block - origin, packed_place(first, last), packed.data(), first, last);
  write(first, last, packed.data());
}

void SliceFiller::convert_whole(std::uint64_t element, std::uint64_t count,
                                const std::byte* stored) {
  constexpr std::uint64_t kAtATime = 1 << 15;
  const DType wanted = entry_->source.dtype();
  std::vector<std::byte> converted(std::min(count, kAtATime) * size_of(wanted));
  for (std::uint64_t done = 0; done < count; done += kAtATime) {
    const std::uint64_t n = std::min(kAtATime, count - done);
    const auto misfit =
        convert(stored_, stored + done * size_of(stored_), wanted, converted.data(), n);
    if (misfit && !allow_overflow_) {
      throw Error(ErrorCode::mismatch,
                  label(entry_->family, entry_->name) + ": element " +
                      std::to_string(element + done + *misfit) + " of the slice at " +
                      to_string(entry_->slice.offset) + " is " +
                      std::string(to_string(stored_)) + " in the file and does not fit in " +
                      std::string(to_string(wanted)));
    }
    const std::uint64_t first = (element + done) * size_of(wanted);
    access_.write(first, first + n * size_of(wanted), converted.data());
  }
}

void SliceFiller::add_part(std::uint64_t element, std::uint64_t begin, std::uint64_t end,
                           const std::byte* bytes) {
  CutElement& cut = cut_[element];
  cut.bytes.resize(size_of(stored_));
  std::memcpy(cut.bytes.data() + begin, bytes, end - begin);
  cut.there += end - begin;
  if (cut.there < cut.bytes.size()) return;
  convert_whole(element, 1, cut.bytes.data());
  cut_.erase(element);
}

}  // namespace cairn
