#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/map_hash.hpp"
#include "base/map_index.hpp"
#include "base/map_rows.hpp"

namespace cairn {

/// What a stored entry says of its key. The numbers are part of the format.
enum class EntryStatus : std::uint8_t { unchanged = 0, modified = 1, erased = 2 };

/// The table of a MapParameter: keys to rows of bytes, and what has changed since the last commit.
///
/// Changes are of two generations. `freeze` makes those until now the ones *in flight*: what a
/// save that begins now must store. Changes that come after it are new ones, and stay. Then
/// either `commit` forgets those in flight, or `abandon` makes them new ones again. Of a key that
/// changed in both, the later change counts.
///
/// 1. Changed keys that are there have a bit at their row; keys that are not are in `erased_`.
/// 2. A key comes to `erased_` only if its row was `stored`: if it was there at some freeze. So
///    what is put and erased again between two saves leaves nothing, and a table that is never
///    saved keeps no record. After a save that failed, a key may be in `erased_` that no checkpoint
///    holds, which is harmless: applying it removes nothing.
/// 3. A key is in `erased_` at most once: its next row is not `stored` before the next freeze, and
///    a freeze takes out of `erased_` what is there again.
class MapTable {
 public:
  using Number = MapRows::Number;

  /// `default_row`, not empty, is what `get` gives for a key that is not there.
  explicit MapTable(std::vector<std::byte> default_row);

  [[nodiscard]] std::uint64_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] std::size_t row_bytes() const noexcept { return rows_.row_bytes(); }

  /// The row's number, or `MapRows::kNone`.
  [[nodiscard]] Number find(std::int64_t key) const noexcept { return find(key, table_hash(key)); }
  [[nodiscard]] std::int64_t key(Number number) const noexcept { return rows_.key(number); }
  /// Valid until the entry is erased.
  [[nodiscard]] const std::byte* row(Number number) const noexcept { return rows_.row(number); }

  /// Copies the row to `row`, or the default row where there is none; says whether there is one.
  bool get(std::int64_t key, std::byte* row) const noexcept;
  /// May throw `bad_alloc` and then has done nothing, and so `erase`.
  void put(std::int64_t key, const std::byte* row) { put(key, table_hash(key), row); }
  /// Says whether it was there.
  bool erase(std::int64_t key) { return erase(key, table_hash(key)); }

  // The same of one key as it nearly always is, to be inlined: the less a lookup executes, the more
  // of them wait for memory at once. Where these do not say, the ones above do.

  /// What the index says first: the key's number or, rarely, another's, so compare; or one of
  /// `MapIndex::kNone` and `kUnsure`.
  [[nodiscard]] Number first(std::int64_t key) const noexcept {
    return index_.first(table_hash(key));
  }
  /// `row_bytes()` where rows are so many cache lines, few enough for the following; else one that
  /// no row has.
  [[nodiscard]] std::size_t line_bytes() const noexcept { return line_bytes_; }
  /// Copies `bytes`, which are `line_bytes()`.
  static void copy_lines(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    std::size_t at = 0;
    do {
      std::memcpy(to + at, from + at, sizeof(Line));
      at += sizeof(Line);
    } while (at != bytes);
  }
  /// Puts to a row that is there; `bytes` are `line_bytes()`.
  void replace_lines(Number number, const std::byte* row, std::size_t bytes) noexcept {
    std::byte* to = rows_.row(number);
    rows_.mark_changed(number);
    copy_lines(to, row, bytes);
  }

  // Of many keys at once, in their order: of a key that comes twice the last row counts. `rows` has
  // `row_bytes()` for each.

  /// Returns how many are there.
  std::size_t get(std::span<const std::int64_t> keys, std::byte* rows) const;
  /// May throw `bad_alloc` and then has put those before the one that found no memory; so `erase`.
  void put(std::span<const std::int64_t> keys, const std::byte* rows);
  /// Returns how many were there.
  std::size_t erase(std::span<const std::int64_t> keys);

  /// Erases all, and gives memory back. May throw `bad_alloc` and then has done nothing.
  void clear();
  /// Makes room for `count` entries in all. Throws `invalid_argument` where that is too many.
  void reserve(std::uint64_t count);

  /// Throws `invalid_argument` where a set is in flight already.
  void freeze();
  void commit() noexcept;
  void abandon() noexcept;

  /// Since which checkpoint the marks tell what changed, by its digest; all zero: since none.
  using Since = std::array<std::byte, 32>;
  [[nodiscard]] const Since& since() const noexcept { return since_; }
  void set_since(const Since& since) noexcept { since_ = since; }

  [[nodiscard]] std::span<const std::byte> default_row() const noexcept { return default_row_; }
  /// `row` has `row_bytes()`.
  void set_default_row(std::span<const std::byte> row) noexcept;
  [[nodiscard]] bool in_flight() const noexcept { return in_flight_; }

  /// Calls `visit(number)` for each entry.
  template <class Visit>
  void visit_all(Visit&& visit) const {
    rows_.visit([](const MapRows::Marks& marks) { return marks.live; }, visit);
  }
  /// The same, of those that are modified and in flight.
  template <class Visit>
  void visit_in_flight(Visit&& visit) const {
    rows_.visit([](const MapRows::Marks& marks) { return marks.in_flight; }, visit);
  }
  /// What a save that is in flight says of an entry.
  [[nodiscard]] EntryStatus status(Number number) const noexcept {
    return rows_.is_in_flight(number) ? EntryStatus::modified : EntryStatus::unchanged;
  }
  /// Keys that were erased and are in flight, in no particular order.
  [[nodiscard]] std::span<const std::int64_t> erased_in_flight() const noexcept {
    return std::span(erased_).first(erased_in_flight_);
  }

 private:
  using Line = std::array<std::byte, 64>;

  /// Whether what the index said first is all there is to say about the key.
  [[nodiscard]] bool is_sure(Number first, std::int64_t key) const noexcept {
    return first == MapRows::kNone || (first != MapIndex::kUnsure && rows_.key(first) == key);
  }
  [[nodiscard]] Number find(std::int64_t key, std::uint64_t hash) const noexcept {
    return index_.find(hash, [&](Number number) { return rows_.key(number) == key; });
  }
  template <bool kToWrite, class Visit>
  void look_up(std::span<const std::int64_t> keys, Visit&& visit) const;
  void put(std::int64_t key, std::uint64_t hash, const std::byte* row);
  void replace(Number number, const std::byte* row) noexcept {
    rows_.mark_changed(number);
    copy_row(rows_.row(number), row);
  }
  void copy_row(std::byte* to, const std::byte* from) const noexcept {
    if (line_bytes_ == row_bytes()) return copy_lines(to, from, line_bytes_);
    std::memcpy(to, from, row_bytes());
  }
  bool erase(std::int64_t key, std::uint64_t hash);
  void rebuild_index(std::uint64_t count);

  MapIndex index_;
  MapRows rows_;
  std::vector<std::byte> default_row_;
  std::size_t line_bytes_;
  std::vector<std::int64_t> erased_;  ///< those in flight come first
  std::size_t erased_in_flight_ = 0;  ///< how many of them
  bool in_flight_ = false;
  Since since_{};
};

}  // namespace cairn
