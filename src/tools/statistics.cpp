#include "tools/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "cairn/save.hpp"

namespace cairn::tools {
namespace {

template <class T>
long double value_of(T value) {
  return static_cast<long double>(value);
}
template <class T>
long double value_of(std::complex<T> value) {
  // Of doubles and not of long doubles: what NumPy says, too.
  return static_cast<long double>(std::hypot(static_cast<double>(value.real()),
                                             static_cast<double>(value.imag())));
}

template <class T>
void add_all(const std::byte* bytes, std::uint64_t count, Statistics& statistics) {
  for (std::uint64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    statistics.add(value_of(value));
  }
}

/// Floats of any size are read as float64, which Cairn converts them to.
DType read_as(DType stored) {
  switch (stored) {
    case DType::float32:
    case DType::float16:
    case DType::bfloat16:
    case DType::float8_e4m3:
    case DType::float8_e5m2:
      return DType::float64;
    default:
      return stored;
  }
}

void add_all(DType dtype, const std::byte* bytes, std::uint64_t count, Statistics& statistics) {
  switch (dtype) {
    case DType::int8: return add_all<std::int8_t>(bytes, count, statistics);
    case DType::uint8:
    case DType::boolean: return add_all<std::uint8_t>(bytes, count, statistics);
    case DType::int16: return add_all<std::int16_t>(bytes, count, statistics);
    case DType::uint16: return add_all<std::uint16_t>(bytes, count, statistics);
    case DType::int32: return add_all<std::int32_t>(bytes, count, statistics);
    case DType::uint32: return add_all<std::uint32_t>(bytes, count, statistics);
    case DType::int64: return add_all<std::int64_t>(bytes, count, statistics);
    case DType::uint64: return add_all<std::uint64_t>(bytes, count, statistics);
    case DType::complex64: return add_all<std::complex<float>>(bytes, count, statistics);
    case DType::complex128: return add_all<std::complex<double>>(bytes, count, statistics);
    default: return add_all<double>(bytes, count, statistics);
  }
}

/// Takes the values of a slice as they come, in any order, and keeps none. An element that a block's
/// end cuts comes twice: it is read, changed and written back. Those are kept until all is there.
class Counter {
 public:
  explicit Counter(DType dtype) : dtype_(dtype), element_(size_of(dtype)) {}

  void read(std::uint64_t first, std::byte* out) {
    cut_ = first;
    auto& bytes = halves_[first];
    bytes.resize(element_);
    std::memcpy(out, bytes.data(), element_);
  }
  void write(std::uint64_t first, std::uint64_t count, const std::byte* in) {
    if (cut_ == first && count == 1) {
      std::memcpy(halves_[first].data(), in, element_);
    } else {
      add_all(dtype_, in, count, statistics_);
    }
    cut_.reset();
  }
  Statistics finish() {
    for (const auto& [element, bytes] : halves_) add_all(dtype_, bytes.data(), 1, statistics_);
    halves_.clear();
    return statistics_;
  }

 private:
  DType dtype_;
  std::size_t element_;
  std::optional<std::uint64_t> cut_;  ///< the element that was just read
  std::map<std::uint64_t, std::vector<std::byte>> halves_;
  Statistics statistics_;
};

/// This rank's part of a tensor: of its largest dimension; of a scalar all, on rank 0.
std::optional<Slice> part_of(const StoredTensor& tensor, const Ranks& ranks) {
  if (tensor.shape.empty()) {
    return ranks.is_root() ? std::optional(whole({})) : std::nullopt;
  }
  const auto largest = std::ranges::max_element(tensor.shape);
  const auto dim = static_cast<std::size_t>(largest - tensor.shape.begin());
  return split(tensor.shape, dim, ranks.rank(), ranks.size());
}

}  // namespace

void Statistics::add(long double value) noexcept {
  ++count;
  if (std::isnan(value)) {
    ++nans;
    return;
  }
  const bool first = count - nans == 1;
  least = first ? value : std::min(least, value);
  greatest = first ? value : std::max(greatest, value);
  if (std::isinf(value)) {
    ++infinities;
  } else {
    sum += value;
  }
}

void Statistics::add(const Statistics& other) noexcept {
  if (other.has_extremes()) {
    least = has_extremes() ? std::min(least, other.least) : other.least;
    greatest = has_extremes() ? std::max(greatest, other.greatest) : other.greatest;
  }
  count += other.count;
  nans += other.nans;
  infinities += other.infinities;
  sum += other.sum;
}

std::vector<Statistics> read_statistics(const Ranks& ranks, const std::filesystem::path& path,
                                        const Key& key,
                                        const std::vector<StoredTensor>& tensors) {
  State state;
  std::vector<Counter> counters;
  for (const StoredTensor& tensor : tensors) counters.emplace_back(read_as(tensor.dtype));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto slice = part_of(tensors[i], ranks);
    if (!slice) continue;
    Counter* const counter = &counters[i];
    state.add(tensors[i].name, std::move(*slice),
              Source::callbacks(
                  read_as(tensors[i].dtype),
                  [counter](std::uint64_t first, std::uint64_t, std::byte* out) {
                    counter->read(first, out);
                  },
                  [counter](std::uint64_t first, std::uint64_t count, const std::byte* in) {
                    counter->write(first, count, in);
                  }));
  }
  if (identify(path).lone && path.filename().string().find(".rank*of") == std::string::npos) {
    throw Error(ErrorCode::invalid_argument,
                path.string() + ": values of lone shards are read of all of them together: give the "
                                "name with * for the rank");
  }
  LoadOptions options;
  options.accept_unmarked_breakpoint = true;  // nobody trains on with them
  options.strict = false;  // some tensors are enough
  options.convert_dtype = true;
  options.enc_key = key;
  load(ranks.comm(), path, state, options);
  std::vector<Statistics> own;
  for (Counter& counter : counters) own.push_back(counter.finish());
  std::vector<Statistics> all = ranks.gather(std::span<const Statistics>(own));
  for (std::size_t i = own.size(); i < all.size(); ++i) all[i % own.size()].add(all[i]);
  all.resize(std::min(all.size(), own.size()));
  return all;
}

}  // namespace cairn::tools
