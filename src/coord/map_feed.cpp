#include "coord/map_feed.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/map_hash.hpp"
#include "base/tensor.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Bytes of one step's messages to a rank, unless one bucket has more.
constexpr std::uint64_t kStepBytes = std::uint64_t{8} << 20;
/// Entries of a bucket on average, while there are no more buckets than 2^20.
constexpr std::uint64_t kBucketEntries = 128;
constexpr unsigned kMostBits = 20;

/// An entry in a message; in the message the keys come first, then what a part says of each.
struct Incoming {
  std::uint64_t order;
  const std::byte* bytes;  ///< null: the part is the key
  std::int32_t rank;
};

/// The entries of one message. Nothing of one that is not as it should be.
void append_entries(const Bytes& message, std::size_t entry_bytes, std::int32_t rank,
                    std::vector<Incoming>& entries) {
  const std::size_t count = message.size() / (sizeof(std::int64_t) + entry_bytes);
  const std::byte* const payload = message.data() + count * sizeof(std::int64_t);
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t key = 0;
    std::memcpy(&key, message.data() + i * sizeof key, sizeof key);
    entries.push_back(
        {order_of(key), entry_bytes == 0 ? nullptr : payload + i * entry_bytes, rank});
  }
}

/// Every rank's entries are in order already; pairs of neighbours are merged until one run is left.
std::vector<Incoming> merge(const std::vector<Bytes>& from, std::size_t entry_bytes) {
  std::vector<Incoming> entries;
  std::vector<std::size_t> ends{0};
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    append_entries(from[rank], entry_bytes, static_cast<std::int32_t>(rank), entries);
    ends.push_back(entries.size());
  }
  const auto at = [&](std::size_t i) {
    return entries.begin() + static_cast<std::ptrdiff_t>(ends[i]);
  };
  const auto before = [](const Incoming& a, const Incoming& b) { return a.order < b.order; };
  while (ends.size() > 2) {
    std::vector<std::size_t> merged{0};
    for (std::size_t i = 0; i + 1 < ends.size(); i += 2) {
      const std::size_t last = std::min(i + 2, ends.size() - 1);
      if (last == i + 2) std::inplace_merge(at(i), at(i + 1), at(last), before);
      merged.push_back(ends[last]);
    }
    ends = std::move(merged);
  }
  return entries;
}

/// What travels beside the key.
std::size_t payload_bytes(const MapSource& source, MapPart part) {
  return part == MapPart::keys ? 0 : source.entry_bytes(part);
}

}  // namespace

MapFeed::MapFeed(const Comm& comm, const std::vector<FedMap>& maps)
    : comm_(comm), maps_(maps), open_(maps.size()) {}

void MapFeed::fetch(std::vector<Need> needs) {
  run_together(comm_, [&] {
    kept_.clear();
    for (const Need& need : needs) {
      const MapSource& source = maps_[need.map].source;
      kept_.push_back({need, Bytes((need.last - need.first) * source.entry_bytes(need.part))});
    }
  });
  const std::vector<std::vector<Need>> all = tell_needs();
  open_needed(all);
  std::vector<std::vector<Step>> steps;
  std::size_t most = 0;
  for (const std::vector<Need>& of_rank : all) {
    steps.push_back(steps_of(of_rank));
    most = std::max(most, steps.back().size());
  }
  // A rank that fails goes on with the steps that the others take too.
  std::optional<Error> error = attempt([&] { expect(steps); });
  const auto keep_error = [&](std::optional<Error> failed) {
    if (failed && !error) error = std::move(failed);
  };
  for (std::size_t s = 0; s < most; ++s) {
    std::vector<Bytes> to(steps.size());
    for (std::size_t rank = 0; rank < steps.size(); ++rank) {
      if (s >= steps[rank].size()) continue;
      keep_error(attempt([&] { to[rank] = pack(steps[rank][s]); }));
    }
    const std::vector<Bytes> from = comm_.exchange(std::move(to));
    const std::vector<Step>& mine = steps[static_cast<std::size_t>(comm_.rank())];
    if (s >= mine.size() || error) continue;
    keep_error(attempt([&] { take(mine[s], from); }));
  }
  settle(comm_, error);
}

/// Collective. What each rank needs and cannot make itself.
std::vector<std::vector<MapFeed::Need>> MapFeed::tell_needs() const {
  WireWriter writer;
  for (const Kept& kept : kept_) {
    const Need& need = kept.need;
    if (!maps_[need.map].source.is_zero(need.part) && need.first < need.last) writer.put(need);
  }
  const Bytes mine = writer.take();
  const std::vector<Bytes> told =
      comm_.exchange(std::vector<Bytes>(static_cast<std::size_t>(comm_.size()), mine));
  std::vector<std::vector<Need>> all;
  for (const Bytes& bytes : told) {
    std::vector<Need>& needs = all.emplace_back();
    for (WireReader reader(bytes); !reader.done();) needs.push_back(reader.get<Need>());
  }
  return all;
}

/// Collective. Opens the maps that any rank needs now and closes the others: the places that ranks
/// need next are never far apart.
void MapFeed::open_needed(const std::vector<std::vector<Need>>& needs) {
  std::vector<bool> is_needed(maps_.size());
  for (const auto& of_rank : needs) {
    for (const Need& need : of_rank) is_needed[need.map] = true;
  }
  for (std::uint32_t map = 0; map < maps_.size(); ++map) {
    if (!is_needed[map]) open_[map] = {};
  }
  for (std::uint32_t map = 0; map < maps_.size(); ++map) {
    if (is_needed[map] && !open_[map].reader) open(map);
  }
}

/// Collective.
void MapFeed::open(std::uint32_t map) {
  Open& opened = open_[map];
  const FedMap& fed = maps_[map];
  std::vector<std::uint64_t> counts;
  run_together(comm_, [&] {
    const unsigned bits = std::min(MapOrder::bits_for(fed.total, kBucketEntries), kMostBits);
    opened.reader.emplace(fed.source, bits);
    const auto own = opened.reader->counts();
    counts.assign(own.begin(), own.end());
  });
  comm_.allreduce(std::span<std::uint64_t>(counts), MPI_SUM);
  run_together(comm_, [&] { opened.begins = begins_of(counts); });
}

std::vector<MapFeed::Step> MapFeed::steps_of(const std::vector<Need>& needs) const {
  std::vector<Step> steps;
  for (const Need& need : needs) {
    const std::vector<std::uint64_t>& begins = open_[need.map].begins;
    const std::size_t bytes =
        sizeof(std::int64_t) + payload_bytes(maps_[need.map].source, need.part);
    // A rank may hold all that the others need.
    const auto share = std::max<std::uint64_t>(static_cast<std::uint64_t>(comm_.size()) / 8, 1);
    const std::uint64_t most = std::max<std::uint64_t>(kStepBytes / share / bytes, 1);
    const auto above = std::ranges::upper_bound(begins, need.first);
    auto bucket = static_cast<std::size_t>(above - begins.begin()) - 1;
    while (bucket + 1 < begins.size() && begins[bucket] < need.last) {
      std::size_t end = bucket + 1;
      while (end + 1 < begins.size() && begins[end] < need.last &&
             begins[end + 1] - begins[bucket] <= most) {
        ++end;
      }
      steps.push_back({&need, bucket, end});
      bucket = end;
    }
  }
  return steps;
}

/// Ranks need places that are near each other, but not in one order.
void MapFeed::expect(const std::vector<std::vector<Step>>& steps) {
  for (std::uint32_t map = 0; map < maps_.size(); ++map) {
    std::size_t first = ~std::size_t{0};
    std::size_t last = 0;
    for (const std::vector<Step>& of_rank : steps) {
      for (const Step& step : of_rank) {
        if (step.need->map != map) continue;
        first = std::min(first, step.first_bucket);
        last = std::max(last, step.last_bucket);
      }
    }
    if (first < last) open_[map].reader->expect(first, last);
  }
}

/// This rank's entries of some buckets: all keys, then what the part says of them.
Bytes MapFeed::pack(const Step& step) {
  MapReader& reader = *open_[step.need->map].reader;
  const auto entries = reader.entries(step.first_bucket, step.last_bucket);
  const std::size_t bytes = payload_bytes(reader.source(), step.need->part);
  Bytes packed(entries.size() * (sizeof(std::int64_t) + bytes));
  std::byte* out = packed.data();
  for (const MapOrder::Entry& entry : entries) {
    std::memcpy(out, &entry.key, sizeof entry.key);
    out += sizeof entry.key;
  }
  if (bytes > 0) reader.source().copy(step.need->part, entries, out);
  return packed;
}

void MapFeed::take(const Step& step, const std::vector<Bytes>& from) {
  const FedMap& fed = maps_[step.need->map];
  const MapPart part = step.need->part;
  const std::vector<std::uint64_t>& begins = open_[step.need->map].begins;
  const std::vector<Incoming> entries = merge(from, payload_bytes(fed.source, part));
  const std::uint64_t begin = begins[step.first_bucket];
  const auto twice = std::ranges::adjacent_find(entries, {}, &Incoming::order);
  if (twice != entries.end()) {
    throw Error(ErrorCode::layout,
                label(Family::map_parameter, fed.name) + ": ranks " + std::to_string(twice->rank) +
                    " and " + std::to_string((twice + 1)->rank) +
                    " both hold one key, number " +
                    std::to_string(begin + static_cast<std::uint64_t>(twice - entries.begin())) +
                    " in the order of the file; expected every key on one rank");
  }
  if (entries.size() != begins[step.last_bucket] - begin) {
    throw Error(ErrorCode::invalid_argument, label(Family::map_parameter, fed.name) +
                                                 " changed while it was saved");
  }
  const std::size_t bytes = fed.source.entry_bytes(part);
  const Need& need = *step.need;
  std::byte* const kept = bytes_of(need);
  // The edges belong to other steps or ranks.
  const std::uint64_t last = std::min(need.last, begin + entries.size());
  for (std::uint64_t place = std::max(need.first, begin); place < last; ++place) {
    const Incoming& entry = entries[place - begin];
    const std::int64_t key = key_of_order(entry.order);
    const auto narrow = static_cast<std::int32_t>(key);
    const void* const own = fed.source.narrow_keys ? static_cast<const void*>(&narrow) : &key;
    std::memcpy(kept + (place - need.first) * bytes,
                entry.bytes != nullptr ? entry.bytes : own, bytes);
  }
}

std::byte* MapFeed::bytes_of(const Need& need) {
  const auto kept =
      std::ranges::find_if(kept_, [&need](const Kept& one) { return one.need == need; });
  return kept->bytes.data();
}

void MapFeed::read(std::uint32_t map, MapPart part, std::uint64_t first, std::uint64_t last,
                   std::byte* out) const {
  const auto kept = std::ranges::find_if(kept_, [&](const Kept& k) {
    return k.need.map == map && k.need.part == part && k.need.first <= first && last <= k.need.last;
  });
  const std::size_t bytes = maps_[map].source.entry_bytes(part);
  if (kept == kept_.end()) {
    throw Error(ErrorCode::invalid_argument,
                label(Family::map_parameter, maps_[map].name) + ": entries were not fetched");
  }
  std::memcpy(out, kept->bytes.data() + (first - kept->need.first) * bytes, (last - first) * bytes);
}

}  // namespace cairn::coord
