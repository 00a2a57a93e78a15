#include "base/map_table.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "cairn/error.hpp"

namespace cairn {
namespace {

/// How far a batch looks ahead: by so many keys for rows, by twice as many for groups. It is a
/// power of two, and longer than memory takes.
constexpr std::size_t kMostAhead = 32;

}  // namespace

MapTable::MapTable(std::vector<std::byte> default_row)
    : rows_(default_row.size()), default_row_(std::move(default_row)) {
  constexpr std::size_t kMost = 16 * sizeof(Line);  // longer ones may as well take a call of memcpy
  const bool in_lines = row_bytes() % sizeof(Line) == 0 && row_bytes() <= kMost;
  line_bytes_ = in_lines ? row_bytes() : MapRows::kMostRowBytes + 1;
}

/// Calls `visit(i, hash, first)` for each key in turn. By then its group has been asked for, then
/// looked at, and its row been asked for, each `ahead` keys earlier: the ways from memory overlap.
/// `first` is what the index said first about the hash, before the last `ahead` visits.
template <bool kToWrite, class Visit>
void MapTable::look_up(std::span<const std::int64_t> keys, Visit&& visit) const {
  struct Seen {
    std::uint64_t hash;
    Number first;
  };
  std::array<Seen, 2 * kMostAhead> ring;
  const auto seen = [&ring](std::size_t i) -> Seen& { return ring[i % ring.size()]; };
  const std::size_t ahead = std::min(kMostAhead, keys.size());
  for (std::size_t i = 0; i < keys.size() + 2 * ahead; ++i) {
    if (i >= 2 * ahead) {
      const Seen& now = seen(i - 2 * ahead);
      visit(i - 2 * ahead, now.hash, now.first);
    }
    if (i < keys.size()) {
      seen(i).hash = table_hash(keys[i]);
      index_.prefetch(seen(i).hash);
    }
    if (i >= ahead && i - ahead < keys.size()) {
      Seen& there = seen(i - ahead);
      there.first = index_.first(there.hash);
      if (there.first < MapIndex::kUnsure) rows_.prefetch<kToWrite>(there.first);
    }
  }
}

bool MapTable::get(std::int64_t key, std::byte* row) const noexcept {
  const Number number = find(key);
  const bool there = number != MapRows::kNone;
  copy_row(row, there ? rows_.row(number) : default_row_.data());
  return there;
}

std::size_t MapTable::get(std::span<const std::int64_t> keys, std::byte* rows) const {
  std::size_t found = 0;
  look_up<false>(keys, [&, bytes = row_bytes()](std::size_t i, std::uint64_t hash, Number first) {
    const Number number = is_sure(first, keys[i]) ? first : find(keys[i], hash);
    const bool there = number != MapRows::kNone;
    found += there ? 1 : 0;
    copy_row(rows + i * bytes, there ? rows_.row(number) : default_row_.data());
  });
  return found;
}

void MapTable::put(std::span<const std::int64_t> keys, const std::byte* rows) {
  look_up<true>(keys, [&, bytes = row_bytes()](std::size_t i, std::uint64_t hash, Number first) {
    const std::byte* row = rows + i * bytes;
    if (first < MapIndex::kUnsure && rows_.key(first) == keys[i]) return replace(first, row);
    put(keys[i], hash, row);
  });
}

void MapTable::put(std::int64_t key, std::uint64_t hash, const std::byte* row) {
  if (const Number found = find(key, hash); found != MapRows::kNone) return replace(found, row);
  if (size() == index_.capacity()) rebuild_index(size() + 1);
  const Number number = rows_.add(key);
  index_.insert(hash, number);
  copy_row(rows_.row(number), row);
}

std::size_t MapTable::erase(std::span<const std::int64_t> keys) {
  std::size_t erased = 0;
  look_up<true>(keys, [&](std::size_t i, std::uint64_t hash, Number) {
    erased += erase(keys[i], hash) ? 1 : 0;
  });
  return erased;
}

bool MapTable::erase(std::int64_t key, std::uint64_t hash) {
  const Number number = find(key, hash);
  if (number == MapRows::kNone) return false;
  if (rows_.is_stored(number)) erased_.push_back(key);
  index_.remove(hash, number);
  rows_.remove(number);
  return true;
}

void MapTable::clear() {
  MapIndex empty;
  std::vector<std::int64_t> stored;
  rows_.visit([](const MapRows::Marks& marks) { return marks.stored; },
              [&](Number number) { stored.push_back(rows_.key(number)); });
  erased_.insert(erased_.end(), stored.begin(), stored.end());
  index_ = std::move(empty);
  rows_.clear();
}

void MapTable::reserve(std::uint64_t count) {
  if (count > index_.capacity()) rebuild_index(count);
  rows_.reserve(count);
}

void MapTable::rebuild_index(std::uint64_t count) {
  index_.reset(count);
  std::array<Number, kMostAhead> ring;  // of numbers whose groups are asked for
  std::size_t seen = 0;
  const auto insert = [&](Number number) { index_.insert(table_hash(rows_.key(number)), number); };
  visit_all([&](Number number) {
    Number& place = ring[seen % ring.size()];
    if (seen++ >= ring.size()) insert(place);
    place = number;
    index_.prefetch(table_hash(rows_.key(number)));
  });
  for (std::size_t i = 0; i < std::min(seen, ring.size()); ++i) insert(ring[i]);
}

void MapTable::set_default_row(std::span<const std::byte> row) noexcept {
  std::ranges::copy(row, default_row_.begin());
}

void MapTable::freeze() {
  if (in_flight_) {
    throw Error(ErrorCode::invalid_argument,
                "a MapParameter is given to a save while another save of it is under way");
  }
  std::erase_if(erased_, [this](std::int64_t key) { return find(key) != MapRows::kNone; });
  rows_.change_marks([](MapRows::Marks& marks) {
    marks.in_flight = std::exchange(marks.changed, 0);
    marks.stored = marks.live;
  });
  erased_in_flight_ = erased_.size();
  in_flight_ = true;
}

void MapTable::commit() noexcept {
  rows_.change_marks([](MapRows::Marks& marks) { marks.in_flight = 0; });
  erased_.erase(erased_.begin(), erased_.begin() + static_cast<std::ptrdiff_t>(erased_in_flight_));
  erased_in_flight_ = 0;
  in_flight_ = false;
}

void MapTable::abandon() noexcept {
  rows_.change_marks(
      [](MapRows::Marks& marks) { marks.changed |= std::exchange(marks.in_flight, 0); });
  erased_in_flight_ = 0;
  in_flight_ = false;
}

}  // namespace cairn
