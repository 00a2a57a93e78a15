#include "coord/map_load.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/append_entries.hpp"
#include "base/map_access.hpp"
#include "coord/map_set.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Keys of a rank that are in memory at a time; for each its rows come in windows of so many bytes.
constexpr std::uint64_t kKeysAtATime = std::uint64_t{1} << 20;
constexpr std::uint64_t kRowBytesAtATime = std::uint64_t{16} << 20;
constexpr std::uint64_t kLeastHandedOut = std::uint64_t{64} << 10;

State::Entry entry_of(const TensorInfo& tensor, std::uint64_t first, std::uint64_t last,
                      std::byte* memory) {
  Slice slice = whole(tensor.shape);
  slice.offset[0] = first;
  slice.extent[0] = last - first;
  return {.name = tensor.name,
          .slice = std::move(slice),
          .source = Source::memory(tensor.dtype, memory),
          .given_bytes = std::nullopt,
          .family = tensor.family};
}

[[noreturn]] void refuse(const Stored& stored, std::string_view map, const std::string& why) {
  throw Error(ErrorCode::damaged,
              stored.path.string() + ": " + label(Family::map_parameter, map) + " " + why);
}

}  // namespace

/// Some neighbouring entries: keys and statuses of all, rows of those from `row_first` on.
struct MapLoad::Window {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  Bytes raw_keys;  ///< of the map's key type
  std::vector<std::int64_t> keys;
  std::vector<std::uint8_t> statuses;  ///< of an increment
  std::uint64_t row_first = 0;
  std::uint64_t row_last = 0;
  Bytes rows;
};

std::uint64_t rows_to_hand_out(std::uint64_t row_bytes, int ranks) noexcept {
  const std::uint64_t share = kRowBytesAtATime / static_cast<std::uint64_t>(ranks);
  return std::max<std::uint64_t>(std::max(share, kLeastHandedOut) / row_bytes, 1);
}

const StoredMap& stored_map(const Stored& stored, std::span<const StoredMap> maps,
                            const MapToLoad& map) {
  const auto found = std::ranges::find(maps, map.stored_name, &StoredMap::name);
  if (found == maps.end()) refuse(stored, map.stored_name, "is missing");
  const MapSettings& settings = map.map->settings();
  const TensorInfo& keys = stored.tensors[found->place(MapPart::keys)];
  const TensorInfo& row = stored.tensors[found->place(MapPart::default_row)];
  if (keys.dtype != settings.key_dtype || row.dtype != settings.dtype ||
      row.shape != settings.row_shape) {
    refuse(stored, map.stored_name, "is of another type than in the increments on it");
  }
  return *found;
}

void MapLoad::begin() {
  run_together(comm_, [this] {
    for (const MapToLoad& map : maps_) {
      MapTable& table = MapAccess::table(*map.map);
      table.set_since({});
      table.clear();
    }
  });
}

void MapLoad::finish(const Stored& stored) {
  run_together(comm_, [&] {
    const codec::Digest digest = storage::digest_of(stored.identity);
    for (const MapToLoad& map : maps_) {
      MapTable& table = MapAccess::table(*map.map);
      table.freeze();
      table.commit();
      table.set_since(since_of(digest, map.stored_name));
    }
  });
}

void MapLoad::add(const Stored& stored, Fill& fill) {
  const std::vector<StoredMap> stored_maps = maps_in(stored.tensors);
  for (const MapToLoad& map : maps_) {
    add_map(stored, stored_map(stored, stored_maps, map), *map.map, fill);
  }
}

void MapLoad::add_map(const Stored& stored, const StoredMap& map, MapParameter& to, Fill& fill) {
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  const std::uint64_t share = map.entries / ranks + (map.entries % ranks == 0 ? 0 : 1);
  const std::uint64_t begin = std::min(map.entries, share * static_cast<std::uint64_t>(comm_.rank()));
  const std::uint64_t end = std::min(map.entries, begin + share);
  const std::uint64_t rows_at_a_time =
      std::clamp<std::uint64_t>(kRowBytesAtATime / to.row_bytes(), 1, kKeysAtATime);
  // As many windows on all ranks, empty ones at the end.
  for (std::uint64_t at = 0; at < share; at += kKeysAtATime) {
    const std::uint64_t length = std::min(kKeysAtATime, share - at);
    const Lent<Window> lent = comm_.lend(Window());
    Window& window = *lent;
    window.first = std::min(end, begin + at);
    window.last = std::min(end, window.first + length);
    read_keys(stored, map, window, fill);
    for (std::uint64_t row = 0; row < length; row += rows_at_a_time) {
      window.row_first = std::min(window.last, window.first + row);
      window.row_last = std::min(window.last, window.row_first + rows_at_a_time);
      read_rows(stored, map, window, fill);
      hand_out(stored, window, std::min(rows_at_a_time, length - row), to);
    }
  }
}

/// Collective. Fills the entries of `state` from these of the stored tensors.
void MapLoad::read(const Stored& stored, Fill& fill, State& state,
                   std::vector<std::size_t> places) const {
  std::vector<plan::Claim> claims;
  std::vector<std::optional<std::size_t>> from(places.begin(), places.end());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Slice& slice = state.entries()[i].slice;
    claims.push_back({stored.tensors[places[i]], {slice.offset, slice.extent}});
  }
  fill.plan(state, claims, from);
  fill.open();
  fill.move();
}

void MapLoad::read_keys(const Stored& stored, const StoredMap& map, Window& window,
                        Fill& fill) const {
  const TensorInfo& keys = stored.tensors[map.place(MapPart::keys)];
  const std::uint64_t count = window.last - window.first;
  std::vector<std::size_t> places{map.place(MapPart::keys)};
  State state;
  run_together(comm_, [&] {
    window.raw_keys.resize(count * size_of(keys.dtype));
    window.keys.resize(count);
    StateExtension::add(state, entry_of(keys, window.first, window.last, window.raw_keys.data()));
    if (!stored.identity.chain.is_increment()) return;
    window.statuses.resize(count);
    auto* const memory = reinterpret_cast<std::byte*>(window.statuses.data());
    const TensorInfo& statuses = stored.tensors[map.place(MapPart::statuses)];
    StateExtension::add(state, entry_of(statuses, window.first, window.last, memory));
  });
  if (stored.identity.chain.is_increment()) places.push_back(map.place(MapPart::statuses));
  read(stored, fill, state, std::move(places));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (keys.dtype == DType::int64) {
      std::memcpy(&window.keys[i], window.raw_keys.data() + i * sizeof(std::int64_t),
                  sizeof(std::int64_t));
    } else {
      std::int32_t narrow = 0;
      std::memcpy(&narrow, window.raw_keys.data() + i * sizeof narrow, sizeof narrow);
      window.keys[i] = narrow;
    }
  }
  run_together(comm_, [&] {
    for (const std::uint8_t status : window.statuses) {
      if (status == 1 || status == 2) continue;
      refuse(stored, map.name, "has the status " + std::to_string(status) +
                                   " in an increment, expected 1 or 2");
    }
  });
}

void MapLoad::read_rows(const Stored& stored, const StoredMap& map, Window& window,
                        Fill& fill) const {
  const TensorInfo& values = stored.tensors[map.place(MapPart::values)];
  const TensorInfo& row = stored.tensors[map.place(MapPart::default_row)];
  const std::size_t row_bytes = element_count(row.shape) * size_of(row.dtype);
  State state;
  run_together(comm_, [&] {
    window.rows.resize((window.row_last - window.row_first) * row_bytes);
    StateExtension::add(
        state, entry_of(values, window.row_first, window.row_last, window.rows.data()));
  });
  read(stored, fill, state, {map.place(MapPart::values)});
}

namespace {

/// What one rank gets: the keys that were put, their rows, and the keys that were erased.
struct Parcel {
  std::vector<std::int64_t> put;
  std::vector<std::uint64_t> rows;  ///< numbers in the window
  std::vector<std::int64_t> erased;
};

Bytes to_wire(const Parcel& parcel, const Bytes& rows, std::size_t row_bytes) {
  const std::uint64_t count = parcel.put.size();
  const std::size_t keys = count * sizeof(std::int64_t);
  const std::size_t erased = parcel.erased.size() * sizeof(std::int64_t);
  if (keys + erased == 0) return {};
  Bytes bytes(sizeof count + keys + count * row_bytes + erased);
  std::byte* out = bytes.data();
  const auto add = [&out](const void* from, std::size_t n) {
    if (n > 0) std::memcpy(out, from, n);
    out += n;
  };
  add(&count, sizeof count);
  add(parcel.put.data(), keys);
  for (const std::uint64_t row : parcel.rows) add(rows.data() + row * row_bytes, row_bytes);
  add(parcel.erased.data(), erased);
  return bytes;
}

/// Returns how many entries are new.
std::uint64_t apply(const Bytes& bytes, MapTable& table) {
  if (bytes.empty()) return 0;
  std::uint64_t count = 0;
  std::memcpy(&count, bytes.data(), sizeof count);
  const auto copy_keys = [](std::span<const std::byte> from) {
    std::vector<std::int64_t> keys(from.size() / sizeof(std::int64_t));
    if (!from.empty()) std::memcpy(keys.data(), from.data(), from.size());
    return keys;
  };
  const std::span<const std::byte> rest = std::span(bytes).subspan(sizeof count);
  const std::size_t keys = count * sizeof(std::int64_t);
  const std::size_t rows = count * table.row_bytes();
  const std::uint64_t before = table.size();
  table.put(copy_keys(rest.first(keys)), rest.subspan(keys).data());
  const std::uint64_t added = table.size() - before;
  table.erase(copy_keys(rest.subspan(keys + rows)));
  return added;
}

}  // namespace

/// Collective. The rows that were read, `length` on the rank with most.
void MapLoad::hand_out(const Stored& stored, const Window& window, std::uint64_t length,
                       MapParameter& to) {
  const std::uint64_t at_a_time = rows_to_hand_out(to.row_bytes(), comm_.size());
  for (std::uint64_t row = 0; row < length; row += at_a_time) {
    const std::uint64_t first = std::min(window.row_last, window.row_first + row);
    hand_out_some(stored, window, first, std::min(window.row_last, first + at_a_time), to);
  }
}

/// Collective.
void MapLoad::hand_out_some(const Stored& stored, const Window& window, std::uint64_t first,
                            std::uint64_t last, MapParameter& to) {
  const std::size_t row_bytes = to.row_bytes();
  std::vector<Bytes> parcels;
  run_together(comm_, [&] {
    std::vector<Parcel> by_rank(static_cast<std::size_t>(comm_.size()));
    for (std::uint64_t i = first; i < last; ++i) {
      const std::int64_t key = window.keys[i - window.first];
      Parcel& parcel = by_rank[static_cast<std::size_t>(to.owner(key, comm_.size()))];
      if (!window.statuses.empty() && window.statuses[i - window.first] == 2) {
        parcel.erased.push_back(key);
      } else {
        parcel.put.push_back(key);
        parcel.rows.push_back(i - window.row_first);
      }
    }
    for (const Parcel& parcel : by_rank) parcels.push_back(to_wire(parcel, window.rows, row_bytes));
  });
  const std::vector<Bytes> from = comm_.exchange(std::move(parcels));
  run_together(comm_, [&] {
    MapTable& table = MapAccess::table(to);
    for (const Bytes& bytes : from) {
      const std::uint64_t added = apply(bytes, table);
      if (stored.identity.chain.is_increment() || bytes.empty()) continue;
      std::uint64_t count = 0;
      std::memcpy(&count, bytes.data(), sizeof count);
      if (added != count) {
        throw Error(ErrorCode::damaged, stored.path.string() +
                                            " holds a key of a MapParameter twice");
      }
    }
  });
}

}  // namespace cairn::coord
