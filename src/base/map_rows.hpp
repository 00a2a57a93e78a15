#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/table_memory.hpp"

namespace cairn {

/// The entries of a table, by number: keys, rows of equal size, and marks as bits. They lie in
/// chunks, so that growth moves nothing and a row stays where it is until it is removed; numbers
/// of removed rows are used again.
class MapRows {
 public:
  using Number = std::uint64_t;
  static constexpr Number kNone = ~Number{0};
  static constexpr std::size_t kMostRowBytes = std::size_t{1} << 40;

  /// Of 64 rows, a bit each. All but `live` are clear where `live` is.
  struct Marks {
    std::uint64_t live;
    std::uint64_t changed;    ///< put since the last freeze, or since the one that was given back
    std::uint64_t in_flight;  ///< put before the freeze that is neither committed nor abandoned
    std::uint64_t stored;     ///< there at some freeze: a checkpoint may hold the key
  };

  explicit MapRows(std::size_t row_bytes);

  [[nodiscard]] std::size_t row_bytes() const noexcept { return row_bytes_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  [[nodiscard]] std::int64_t key(Number number) const noexcept { return *key_at(number); }
  [[nodiscard]] const std::byte* row(Number number) const noexcept { return row_at(number); }
  [[nodiscard]] std::byte* row(Number number) noexcept { return row_at(number); }

  /// A row for this key, live and changed; its contents are unspecified. May throw `bad_alloc` and
  /// then has done nothing.
  Number add(std::int64_t key);
  void remove(Number number) noexcept;
  /// Of all rows, with their memory.
  void clear() noexcept;
  /// Memory for `count` rows.
  void reserve(std::uint64_t count);

  void mark_changed(Number number) noexcept {
    std::uint64_t& word = marks(number).changed;
    if ((word & bit(number)) == 0) word |= bit(number);
  }
  [[nodiscard]] bool is_stored(Number number) const noexcept {
    return (marks(number).stored & bit(number)) != 0;
  }
  [[nodiscard]] bool is_in_flight(Number number) const noexcept {
    return (marks(number).in_flight & bit(number)) != 0;
  }

  /// The marks of all rows, in turn.
  template <class Change>
  void change_marks(Change&& change) {
    for (Number first = 0; first < used_; first += word_rows()) change(marks(first));
  }

  /// Calls `visit` with the numbers of those rows that `select` gives a bit for, in ascending
  /// order.
  template <class Select, class Visit>
  void visit(Select&& select, Visit&& visit) const {
    for (Number first = 0; first < used_; first += word_rows()) {
      for (std::uint64_t word = select(marks(first)); word != 0; word &= word - 1) {
        visit(first + static_cast<Number>(__builtin_ctzll(word)));
      }
    }
  }

  /// Starts to fetch what a reader of the row looks at, or a writer. Inlined, or else GCC 12 takes
  /// it for a function without effect and leaves the call out.
  template <bool kToWrite>
  [[gnu::always_inline]] void prefetch(Number number) const noexcept;

 private:
  static constexpr std::size_t kLine = 64;
  static std::uint64_t bit(Number number) noexcept { return std::uint64_t{1} << (number & 63); }
  /// A chunk of fewer than 64 rows has a word of marks nonetheless.
  [[nodiscard]] Number word_rows() const noexcept { return chunk_rows_ < 64 ? chunk_rows_ : 64; }
  [[nodiscard]] std::byte* chunk(Number number) const noexcept {
    return begins_[number >> chunk_shift_];
  }
  [[nodiscard]] std::byte* row_at(Number number) const noexcept {
    return chunk(number) + within(number) * row_bytes_;
  }
  /// Of a row that was removed, the number of another one.
  [[nodiscard]] std::int64_t* key_at(Number number) const noexcept {
    return reinterpret_cast<std::int64_t*>(chunk(number) + keys_offset_) + within(number);
  }
  [[nodiscard]] std::size_t within(Number number) const noexcept { return number & chunk_mask_; }
  [[nodiscard]] Marks& marks(Number number) const noexcept {
    return reinterpret_cast<Marks*>(chunk(number) + marks_offset_)[within(number) >> 6];
  }
  void add_chunk();

  std::size_t row_bytes_;
  unsigned chunk_shift_;
  Number chunk_rows_;  ///< a power of two
  Number chunk_mask_;  ///< that - 1
  std::size_t keys_offset_;
  std::size_t marks_offset_;
  std::size_t chunk_bytes_;
  std::vector<TableMemory> chunks_;  ///< of rows from a line's begin on; then keys; then marks
  std::vector<std::byte*> begins_;   ///< of the chunks: what every look at a row goes over
  Number used_ = 0;                  ///< numbers from here on were never given out
  Number first_free_ = kNone;
  std::uint64_t size_ = 0;
};

template <bool kToWrite>
inline void MapRows::prefetch(Number number) const noexcept {
  constexpr std::size_t kLines = 8;  // of longer rows the processor sees by itself how they go on
  const std::byte* begin = row(number);
  const std::byte* end = begin + (row_bytes_ < kLines * kLine ? row_bytes_ : kLines * kLine);
  for (const std::byte* line = begin; line < end; line += kLine) {
    __builtin_prefetch(line, kToWrite ? 1 : 0);
  }
  __builtin_prefetch(end - 1, kToWrite ? 1 : 0);
  __builtin_prefetch(key_at(number));
  if (kToWrite) __builtin_prefetch(&marks(number), 1);
}

}  // namespace cairn
