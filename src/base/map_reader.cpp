#include "base/map_reader.hpp"

#include <algorithm>
#include <cstring>

namespace cairn {
namespace {

/// Rows lie anywhere: so far ahead they are asked for.
constexpr std::size_t kAhead = 16;

void copy_keys(std::span<const MapOrder::Entry> entries, bool narrow, std::byte* out) {
  for (const MapOrder::Entry& entry : entries) {
    const auto small = static_cast<std::int32_t>(entry.key);
    const std::size_t bytes = narrow ? sizeof small : sizeof entry.key;
    std::memcpy(out, narrow ? static_cast<const void*>(&small) : &entry.key, bytes);
    out += bytes;
  }
}

void copy_rows(const MapTable& table, std::span<const MapOrder::Entry> entries, std::byte* out) {
  const std::size_t bytes = table.row_bytes();
  for (std::size_t i = 0; i < entries.size(); ++i, out += bytes) {
    if (i + kAhead < entries.size() && entries[i + kAhead].number != MapRows::kNone) {
      __builtin_prefetch(table.row(entries[i + kAhead].number));
    }
    if (entries[i].number == MapRows::kNone) {
      std::memset(out, 0, bytes);
    } else {
      std::memcpy(out, table.row(entries[i].number), bytes);
    }
  }
}

void copy_statuses(std::span<const MapOrder::Entry> entries, std::byte* out) {
  for (const MapOrder::Entry& entry : entries) {
    const bool erased = entry.number == MapRows::kNone;
    *out++ = static_cast<std::byte>(erased ? EntryStatus::erased : EntryStatus::modified);
  }
}

}  // namespace

std::vector<std::uint64_t> begins_of(std::span<const std::uint64_t> counts) {
  std::vector<std::uint64_t> begins{0};
  begins.reserve(counts.size() + 1);
  for (const std::uint64_t count : counts) begins.push_back(begins.back() + count);
  return begins;
}

std::uint64_t MapSource::count() const {
  if (which == MapOrder::Which::all) return table->size();
  std::uint64_t count = erased.size();
  table->visit_in_flight([&count](MapTable::Number) { ++count; });
  return count;
}

std::size_t MapSource::entry_bytes(MapPart part) const noexcept {
  if (part == MapPart::statuses) return 1;
  if (part == MapPart::keys) return narrow_keys ? sizeof(std::int32_t) : sizeof(std::int64_t);
  return table->row_bytes();
}

void MapSource::copy(MapPart part, std::span<const MapOrder::Entry> entries,
                     std::byte* out) const {
  if (is_zero(part)) {
    std::memset(out, 0, entries.size());
  } else if (part == MapPart::statuses) {
    copy_statuses(entries, out);
  } else if (part == MapPart::keys) {
    copy_keys(entries, narrow_keys, out);
  } else {
    copy_rows(*table, entries, out);
  }
}

MapReader::MapReader(const MapSource& source, unsigned bucket_bits)
    : source_(source),
      order_(*source.table, source.which, bucket_bits, source.erased),
      begins_(begins_of(order_.counts())) {}

std::span<const MapOrder::Entry> MapReader::entries(std::size_t first, std::size_t last) {
  if (first < first_ || last > last_) {
    first_ = last_ = 0;
    kept_ = {};  // not both at once
    const std::size_t end = std::max(last, order_.run_end(first, kMostKept));
    kept_ = order_.entries(first, end);
    first_ = first;
    last_ = end;
  }
  return std::span(kept_).subspan(begins_[first] - begins_[first_], begins_[last] - begins_[first]);
}

void MapReader::expect(std::size_t first, std::size_t last) {
  if (begins_[last] - begins_[first] <= kMostKept) static_cast<void>(entries(first, last));
}

void MapReader::read(MapPart part, std::uint64_t first, std::uint64_t last, std::byte* out) {
  while (first < last) {
    const auto above = std::ranges::upper_bound(begins_, first);
    const auto bucket = static_cast<std::size_t>(above - begins_.begin()) - 1;
    if (bucket < first_ || bucket >= last_) static_cast<void>(entries(bucket, bucket + 1));
    const std::uint64_t end = std::min(last, begins_[last_]);
    const auto some = std::span(kept_).subspan(first - begins_[first_], end - first);
    source_.copy(part, some, out);
    out += some.size() * source_.entry_bytes(part);
    first = end;
  }
}

}  // namespace cairn
