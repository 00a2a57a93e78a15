#include "base/map_order.hpp"

#include <algorithm>
#include <cassert>

namespace cairn {

/// Calls `visit(order, number)` for each entry.
template <class Visit>
void MapOrder::visit(Visit&& visit) const {
  const auto visit_row = [&](MapTable::Number number) {
    visit(order_of(table_->key(number)), number);
  };
  if (which_ == Which::all) return table_->visit_all(visit_row);
  table_->visit_in_flight(visit_row);
  for (const std::int64_t key : erased_) visit(order_of(key), MapRows::kNone);
}

MapOrder::MapOrder(const MapTable& table, Which which, unsigned bucket_bits)
    : MapOrder(table, which, bucket_bits, table.erased_in_flight()) {}

MapOrder::MapOrder(const MapTable& table, Which which, unsigned bucket_bits,
                   std::span<const std::int64_t> erased)
    : table_(&table),
      which_(which),
      erased_(erased),
      bits_(bucket_bits),
      counts_(std::size_t{1} << bucket_bits) {
  assert((which == Which::all || table.in_flight()) && bucket_bits <= 32);
  visit([this](std::uint64_t order, MapTable::Number) { ++counts_[bucket_of(order)]; });
}

unsigned MapOrder::bits_for(std::uint64_t entries, std::uint64_t most) {
  constexpr unsigned kMostBits = 32;
  unsigned bits = 0;
  while (bits < kMostBits && (entries >> bits) > most) ++bits;
  return bits;
}

std::size_t MapOrder::run_end(std::size_t first, std::uint64_t most) const {
  std::size_t last = first + 1;
  std::uint64_t entries = counts_[first];
  while (last < counts_.size() && entries + counts_[last] <= most) entries += counts_[last++];
  return last;
}

std::vector<MapOrder::Entry> MapOrder::entries(std::size_t first, std::size_t last) const {
  std::vector<std::uint64_t> ends(last - first);  // first begins; an entry moves its bucket's on
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    ends[i] = total;
    total += counts_[first + i];
  }
  std::vector<Entry> entries(total);
  // Until they are sorted, `key` is the place in the order.
  visit([&](std::uint64_t order, MapTable::Number number) {
    const std::size_t bucket = bucket_of(order);
    if (bucket < first || bucket >= last) return;
    entries[ends[bucket - first]++] = {static_cast<std::int64_t>(order), number};
  });
  const auto place = [](const Entry& entry) { return static_cast<std::uint64_t>(entry.key); };
  auto begin = entries.begin();
  for (const std::uint64_t end : ends) {
    const auto bucket_end = entries.begin() + static_cast<std::ptrdiff_t>(end);
    std::ranges::sort(begin, bucket_end, {}, place);
    begin = bucket_end;
  }
  for (Entry& entry : entries) entry.key = key_of_order(place(entry));
  return entries;
}

}  // namespace cairn
