#include "base/map_rows.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

namespace cairn {
namespace {

// A chunk takes about this much: large enough that huge pages fit, small enough that the last one,
// partly used, does not matter. Untouched pages take no memory.
constexpr std::size_t kChunkBytes = std::size_t{16} << 20;
constexpr std::size_t kMostChunkRows = std::size_t{1} << 20;

unsigned chunk_shift_for(std::size_t row_bytes) {
  const std::size_t fitting = kChunkBytes / (row_bytes + sizeof(std::int64_t));
  return static_cast<unsigned>(std::bit_width(std::clamp<std::size_t>(fitting, 1, kMostChunkRows)) -
                               1);
}

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

MapRows::MapRows(std::size_t row_bytes)
    : row_bytes_(row_bytes),
      chunk_shift_(chunk_shift_for(row_bytes)),
      chunk_rows_(Number{1} << chunk_shift_),
      chunk_mask_(chunk_rows_ - 1),
      keys_offset_(round_up(chunk_rows_ * row_bytes, kLine)),
      marks_offset_(round_up(keys_offset_ + chunk_rows_ * sizeof(std::int64_t), kLine)),
      chunk_bytes_(marks_offset_ + chunk_rows_ / word_rows() * sizeof(Marks)) {}

MapRows::Number MapRows::add(std::int64_t key) {
  if (first_free_ == kNone && used_ == chunks_.size() * chunk_rows_) add_chunk();
  const bool reused = first_free_ != kNone;
  const Number number = reused ? first_free_ : used_++;
  if (reused) first_free_ = static_cast<Number>(*key_at(number));
  *key_at(number) = key;
  Marks& word = marks(number);
  word.live |= bit(number);
  word.changed |= bit(number);
  ++size_;
  return number;
}

void MapRows::remove(Number number) noexcept {
  Marks& word = marks(number);
  for (std::uint64_t* mark : {&word.live, &word.changed, &word.in_flight, &word.stored}) {
    *mark &= ~bit(number);
  }
  *key_at(number) = static_cast<std::int64_t>(std::exchange(first_free_, number));
  --size_;
}

void MapRows::clear() noexcept {
  chunks_.clear();
  begins_.clear();
  used_ = 0;
  first_free_ = kNone;
  size_ = 0;
}

void MapRows::reserve(std::uint64_t count) {
  while (chunks_.size() * chunk_rows_ < count) add_chunk();
}

void MapRows::add_chunk() {
  const bool is_first = chunks_.empty();
  TableMemory memory = table_memory(chunk_bytes_, !is_first);
  std::uninitialized_value_construct_n(reinterpret_cast<Marks*>(memory.get() + marks_offset_),
                                       chunk_rows_ / word_rows());
  begins_.reserve(chunks_.size() + 1);
  chunks_.push_back(std::move(memory));
  begins_.push_back(chunks_.back().get());
}

}  // namespace cairn
