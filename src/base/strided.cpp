#include "base/strided.hpp"

#include <algorithm>
#include <cstring>

namespace cairn {
namespace {

/// Adds a dimension outside of what is there already, merging it where it continues a run or the
/// dimension inside it. `reversed` holds the dimensions innermost first.
void wrap(std::uint64_t& run, std::vector<Strided::Dim>& reversed, std::uint64_t count,
          std::int64_t stride) {
  if (count == 1) return;
  if (reversed.empty()) {
    if (stride == static_cast<std::int64_t>(run)) {
      run *= count;
      return;
    }
  } else if (Strided::Dim& inner = reversed.back();
             stride == static_cast<std::int64_t>(inner.count) * inner.stride) {
    inner.count *= count;
    return;
  }
  reversed.push_back({count, stride});
}

bool is_empty(std::span<const std::uint64_t> extent) {
  return std::ranges::find(extent, std::uint64_t{0}) != extent.end();
}

}  // namespace

std::uint64_t Strided::bytes() const noexcept {
  std::uint64_t total = run;
  for (const Dim& dim : dims) total *= dim.count;
  return total;
}

std::uint64_t Strided::end() const noexcept {
  std::uint64_t last = static_cast<std::uint64_t>(base) + run;
  for (const Dim& dim : dims) last += (dim.count - 1) * static_cast<std::uint64_t>(dim.stride);
  return last;
}

Strided image_place(const Slice& slice, std::size_t element_bytes, std::uint64_t base) {
  Strided place;
  place.base = static_cast<std::int64_t>(base);
  if (is_empty(slice.extent)) return place;
  place.run = element_bytes;
  std::int64_t stride = static_cast<std::int64_t>(element_bytes);
  for (std::size_t d = slice.global.size(); d-- > 0;) {
    place.base += static_cast<std::int64_t>(slice.offset[d]) * stride;
    wrap(place.run, place.dims, slice.extent[d], stride);
    stride *= static_cast<std::int64_t>(slice.global[d]);
  }
  std::ranges::reverse(place.dims);
  return place;
}

Strided memory_place(std::span<const std::uint64_t> extent, std::size_t element_bytes,
                     const std::optional<std::vector<std::ptrdiff_t>>& byte_strides) {
  Strided place;
  if (is_empty(extent)) return place;
  place.run = element_bytes;
  std::int64_t packed = static_cast<std::int64_t>(element_bytes);
  for (std::size_t d = extent.size(); d-- > 0;) {
    wrap(place.run, place.dims, extent[d], byte_strides ? (*byte_strides)[d] : packed);
    packed *= static_cast<std::int64_t>(extent[d]);
  }
  std::ranges::reverse(place.dims);
  return place;
}

std::uint64_t bytes_before(const Strided& image, std::uint64_t position) noexcept {
  if (position <= static_cast<std::uint64_t>(image.base)) return 0;
  std::uint64_t rest = position - static_cast<std::uint64_t>(image.base);
  std::uint64_t each = image.bytes();  // local bytes of one step along the dimension
  std::uint64_t before = 0;
  for (const Strided::Dim& dim : image.dims) {
    each /= dim.count;
    const std::uint64_t steps = rest / static_cast<std::uint64_t>(dim.stride);
    if (steps >= dim.count) return before + dim.count * each;
    before += steps * each;
    rest -= steps * static_cast<std::uint64_t>(dim.stride);
  }
  return before + std::min(rest, image.run);
}

RunCursor::RunCursor(const Strided& strided, std::uint64_t local)
    : strided_(&strided), index_(strided.dims.size()), start_(strided.base) {
  in_run_ = strided.run == 0 ? 0 : local % strided.run;
  std::uint64_t rest = strided.run == 0 ? 0 : local / strided.run;
  for (std::size_t d = index_.size(); d-- > 0;) {
    // The outermost index may be one past the end, where `local` is the end.
    index_[d] = d == 0 ? rest : rest % strided.dims[d].count;
    rest /= strided.dims[d].count;
    start_ += static_cast<std::int64_t>(index_[d]) * strided.dims[d].stride;
  }
}

void RunCursor::advance(std::uint64_t bytes) noexcept {
  in_run_ += bytes;
  if (in_run_ == strided_->run) next_run();
}

void RunCursor::next_run() noexcept {
  in_run_ = 0;
  for (std::size_t d = index_.size(); d-- > 0;) {
    const Strided::Dim& dim = strided_->dims[d];
    start_ += dim.stride;
    if (++index_[d] < dim.count || d == 0) return;
    start_ -= static_cast<std::int64_t>(dim.count) * dim.stride;
    index_[d] = 0;
  }
}

void copy_local(const Strided& from, const std::byte* from_origin, const Strided& to,
                std::byte* to_origin, std::uint64_t first, std::uint64_t last) {
  if (first >= last) return;
  RunCursor source(from, first);
  RunCursor target(to, first);
  for (std::uint64_t left = last - first; left > 0;) {
    const std::uint64_t n = std::min({left, source.left(), target.left()});
    std::memcpy(to_origin + target.position(), from_origin + source.position(), n);
    source.advance(n);
    target.advance(n);
    left -= n;
  }
}

Strided packed_place(std::uint64_t first, std::uint64_t last) {
  return {.base = -static_cast<std::int64_t>(first), .run = last, .dims = {}};
}

std::optional<std::int64_t> single_run(const Strided& strided, std::uint64_t first,
                                       std::uint64_t last) {
  const RunCursor cursor(strided, first);
  if (cursor.left() < last - first) return std::nullopt;
  return cursor.position();
}

}  // namespace cairn
