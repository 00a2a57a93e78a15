#include "fill.hpp"

#include <algorithm>
#include <bit>
#include <complex>
#include <cstring>
#include <iomanip>
#include <sstream>
#include <utility>
#include <vector>

// Multi-gigabyte slices are filled and compared here. A slice is walked in runs, contiguous both in
// the global tensor and in memory; along a run x grows by a constant, so that no index is divided
// and the compiler vectorises the loop.
static_assert(std::endian::native == std::endian::little);

namespace bench {
namespace {

using cairn::DType;

constexpr std::uint32_t kIndexFactor = 2654435761;
constexpr std::uint64_t kPlaceFactor = 40503;
constexpr std::uint64_t kStepFactor = 7919;

/// Elements that are compared at a time.
constexpr std::uint64_t kPieceElements = 4096;

// What an element is, given its x. 16-bit floats are the bits of v / 128, 0 <= v < 128, which both
// types hold exactly; they are cut out of the bits of the same number in float32.
float unit_of(std::uint32_t x) {
  return static_cast<float>(x >> 8) * 0x1p-24F;
}
std::uint32_t bits_of_coarse_unit(std::uint32_t x) {
  return std::bit_cast<std::uint32_t>(static_cast<float>(x >> 25) * 0x1p-7F);
}
std::uint16_t bfloat16_of(std::uint32_t x) {
  return static_cast<std::uint16_t>(bits_of_coarse_unit(x) >> 16);
}
std::uint16_t float16_of(std::uint32_t x) {
  constexpr std::uint32_t kBiasDifference = (127 - 15) << 23;
  const std::uint32_t bits = bits_of_coarse_unit(x);
  return bits == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>((bits - kBiasDifference) >> 13);
}
template <class T>
std::complex<T> complex_of(std::uint32_t x) {
  const T real = unit_of(x);
  return {real, T{1} - real};
}

/// Writes `count` elements, x of the first being `x`.
template <class T, class Make>
void write_run(std::byte* out, std::uint32_t x, std::uint64_t count, Make make) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const T element = make(x + static_cast<std::uint32_t>(i) * kIndexFactor);
    std::memcpy(out + i * sizeof(T), &element, sizeof(T));
  }
}

/// The highest bits of x, as many as T has.
template <class T>
void write_bits(std::byte* out, std::uint32_t x, std::uint64_t count) {
  constexpr unsigned kShift = sizeof(T) < 4 ? 32 - 8 * sizeof(T) : 0;
  write_run<T>(out, x, count, [](std::uint32_t v) { return static_cast<T>(v >> kShift); });
}

void write_elements(DType dtype, std::byte* out, std::uint32_t x, std::uint64_t count) {
  switch (dtype) {
    case DType::float64:
      return write_run<double>(out, x, count, unit_of);
    case DType::float32:
      return write_run<float>(out, x, count, unit_of);
    case DType::float16:
      return write_run<std::uint16_t>(out, x, count, float16_of);
    case DType::bfloat16:
      return write_run<std::uint16_t>(out, x, count, bfloat16_of);
    case DType::float8_e4m3:
    case DType::float8_e5m2:
      return write_run<std::uint8_t>(
          out, x, count, [](std::uint32_t v) { return static_cast<std::uint8_t>(v >> 25); });
    case DType::int8:
    case DType::uint8:
      return write_bits<std::uint8_t>(out, x, count);
    case DType::int16:
    case DType::uint16:
      return write_bits<std::uint16_t>(out, x, count);
    case DType::int32:
    case DType::uint32:
      return write_bits<std::uint32_t>(out, x, count);
    case DType::int64:
    case DType::uint64:
      return write_bits<std::uint64_t>(out, x, count);
    case DType::boolean:
      return write_run<std::uint8_t>(
          out, x, count, [](std::uint32_t v) { return static_cast<std::uint8_t>(v >> 31); });
    case DType::complex64:
      return write_run<std::complex<float>>(out, x, count, complex_of<float>);
    case DType::complex128:
      return write_run<std::complex<double>>(out, x, count, complex_of<double>);
  }
}

std::uint32_t x_at(const FillRule& rule, std::uint64_t index) {
  return static_cast<std::uint32_t>(index * kIndexFactor + rule.place * kPlaceFactor +
                                    rule.step * kStepFactor);
}

/// Elements that lie side by side in the global tensor and in the slice.
struct Run {
  std::uint64_t global;  ///< row-major index of the first in the tensor
  std::uint64_t local;   ///< and in the slice
  std::uint64_t count;
};

/// The runs of a slice, in order: an odometer over the dimensions outside of a run.
class Runs {
 public:
  explicit Runs(const cairn::Slice& slice)
      : slice_(slice), outer_(slice.global.size()), stride_(slice.global.size()) {
    std::uint64_t stride = 1;
    for (std::size_t dim = slice.global.size(); dim-- > 0;) {
      stride_[dim] = stride;
      run_.global += slice.offset[dim] * stride;
      stride *= slice.global[dim];
    }
    // A run takes in a dimension as long as everything inside of it is held whole.
    bool whole = true;
    while (outer_ > 0 && whole) {
      --outer_;
      run_.count *= slice.extent[outer_];
      whole = slice.extent[outer_] == slice.global[outer_];
    }
    place_.assign(outer_, 0);
    done_ = std::ranges::find(slice.extent, std::uint64_t{0}) != slice.extent.end();
  }

  /// The next run, or nothing.
  std::optional<Run> next() {
    if (done_) return std::nullopt;
    const Run current = run_;
    advance();
    return current;
  }

 private:
  void advance() {
    run_.local += run_.count;
    for (std::size_t dim = outer_; dim-- > 0;) {
      run_.global += stride_[dim];
      if (++place_[dim] < slice_.extent[dim]) return;
      run_.global -= stride_[dim] * slice_.extent[dim];
      place_[dim] = 0;
    }
    done_ = true;
  }

  const cairn::Slice& slice_;
  std::size_t outer_;  ///< the number of dimensions outside of a run
  std::vector<std::uint64_t> stride_;
  std::vector<std::uint64_t> place_;
  Run run_{0, 0, 1};
  bool done_ = false;
};

Difference difference_in(const std::byte* expected, const std::byte* actual, std::size_t size,
                         std::uint64_t first_index) {
  const std::byte* const end = expected + kPieceElements * size;
  const auto byte = static_cast<std::size_t>(std::mismatch(expected, end, actual).first - expected);
  const std::size_t element = byte / size;
  Difference difference{first_index + element, {}, {}};
  std::memcpy(difference.expected.data(), expected + element * size, size);
  std::memcpy(difference.actual.data(), actual + element * size, size);
  return difference;
}

template <class T>
void append_value(std::ostream& text, const ElementBits& bits) {
  T value;
  std::memcpy(&value, bits.data(), sizeof(T));
  // A promoted copy, so that 8-bit integers are not taken for characters.
  if constexpr (std::is_arithmetic_v<T>) {
    text << " (" << +value << ")";
  } else {
    text << " (" << value.real() << ", " << value.imag() << ")";
  }
}

void append_value(std::ostream& text, DType dtype, const ElementBits& bits) {
  switch (dtype) {
    case DType::float64:
      return append_value<double>(text, bits);
    case DType::float32:
      return append_value<float>(text, bits);
    case DType::int8:
      return append_value<std::int8_t>(text, bits);
    case DType::int16:
      return append_value<std::int16_t>(text, bits);
    case DType::int32:
      return append_value<std::int32_t>(text, bits);
    case DType::int64:
      return append_value<std::int64_t>(text, bits);
    case DType::uint8:
      return append_value<std::uint8_t>(text, bits);
    case DType::uint16:
      return append_value<std::uint16_t>(text, bits);
    case DType::uint32:
      return append_value<std::uint32_t>(text, bits);
    case DType::uint64:
      return append_value<std::uint64_t>(text, bits);
    case DType::complex64:
      return append_value<std::complex<float>>(text, bits);
    case DType::complex128:
      return append_value<std::complex<double>>(text, bits);
    case DType::boolean:
    case DType::float16:
    case DType::bfloat16:
    case DType::float8_e4m3:
    case DType::float8_e5m2:
      return;
  }
}

}  // namespace

void fill(const FillRule& rule, const cairn::Slice& slice, std::byte* memory) {
  const std::size_t size = cairn::size_of(rule.dtype);
  Runs runs(slice);
  while (const auto run = runs.next()) {
    write_elements(rule.dtype, memory + run->local * size, x_at(rule, run->global), run->count);
  }
}

std::optional<Difference> find_difference(const FillRule& rule, const cairn::Slice& slice,
                                          const std::byte* memory) {
  const std::size_t size = cairn::size_of(rule.dtype);
  std::vector<std::byte> expected(kPieceElements * size);
  Runs runs(slice);
  while (const auto run = runs.next()) {
    for (std::uint64_t done = 0; done < run->count; done += kPieceElements) {
      const std::uint64_t count = std::min(kPieceElements, run->count - done);
      const std::uint64_t index = run->global + done;
      const std::byte* const actual = memory + (run->local + done) * size;
      write_elements(rule.dtype, expected.data(), x_at(rule, index), count);
      if (std::memcmp(expected.data(), actual, count * size) != 0) {
        return difference_in(expected.data(), actual, size, index);
      }
    }
  }
  return std::nullopt;
}

std::string element_text(DType dtype, const ElementBits& bits) {
  std::ostringstream text;
  text << "0x" << std::hex << std::setfill('0');
  for (std::size_t i = cairn::size_of(dtype); i-- > 0;) {
    text << std::setw(2) << std::to_integer<unsigned>(bits[i]);
  }
  text << std::dec << std::setprecision(17);
  append_value(text, dtype, bits);
  return text.str();
}

}  // namespace bench
