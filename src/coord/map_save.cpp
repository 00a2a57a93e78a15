#include "coord/map_save.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/append_entries.hpp"
#include "base/map_access.hpp"
#include "coord/map_moves.hpp"
#include "coord/map_set.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Bytes of blocks that are fed at a time.
constexpr std::uint64_t kWindowBytes = std::uint64_t{8} << 20;

Shape with_rows(std::uint64_t rows, const Shape& row_shape) {
  Shape shape{rows};
  shape.insert(shape.end(), row_shape.begin(), row_shape.end());
  return shape;
}

/// Reads elements of entries through `read(first, last, out)`, which reads whole entries.
template <class Read>
void read_elements(std::uint64_t first, std::uint64_t last, std::size_t entry_bytes,
                   std::byte* out, Read&& read) {
  const std::uint64_t begin = first / entry_bytes;
  const std::uint64_t end = (last + entry_bytes - 1) / entry_bytes;
  if (begin * entry_bytes == first && end * entry_bytes == last) return read(begin, end, out);
  std::vector<std::byte> whole((end - begin) * entry_bytes);
  read(begin, end, whole.data());
  std::memcpy(out, whole.data() + (first - begin * entry_bytes), last - first);
}

}  // namespace

/// This rank's own entries, one map after the other: memory for one of them.
class MapSave::LocalFeed {
 public:
  explicit LocalFeed(const std::vector<FedMap>& maps) : maps_(maps) {}

  void read(std::uint32_t map, MapPart part, std::uint64_t first, std::uint64_t last,
            std::byte* out) {
    const MapSource& source = maps_[map].source;
    if (!reader_ || map != at_) {
      constexpr std::uint64_t kBucketEntries = 256;
      constexpr unsigned kMostBits = 20;
      reader_.reset();
      at_ = map;
      const unsigned bits = MapOrder::bits_for(source.count(), kBucketEntries);
      reader_.emplace(source, std::min(bits, kMostBits));
    }
    reader_->read(part, first, last, out);
  }

 private:
  const std::vector<FedMap>& maps_;
  std::optional<MapReader> reader_;
  std::uint32_t at_ = 0;
};

MapSave::MapSave(const Comm& comm, const State& state, SaveKind kind, bool incremental,
                 storage::Record& record)
    : comm_(comm), state_(state), plain_entries_(state.entries().size()) {
  incremental = incremental && record.kind != storage::CheckpointKind::breakpoint;
  if (!incremental) record.chain = {};
  sorted_ = same_maps(comm, state);
  if (sorted_.empty()) {
    record.chain = {};
    return;
  }
  run_together(comm, [this] {
    for (const State::Map& map : sorted_) held_.emplace_back(MapAccess::share(*map.map));
  });
  if (incremental) freeze();
  decide(record);
  const bool is_increment = record.chain.is_increment();
  run_together(comm, [&] { count(is_increment ? MapOrder::Which::changed : MapOrder::Which::all); });
  if (is_increment) leave_out_moved();
  for (FedMap& map : maps_) map.total = all_of<std::uint64_t>(comm, map.source.count(), MPI_SUM);
  tell(record);
  if (incremental) expect_commit(record);
  add_entries(kind);
}

void MapSave::commit() noexcept {
  for (Held& held : held_) held.commit();
  held_.clear();
  erased_ = {};
}

/// Collective. All are frozen, or this is not made and they are given back.
void MapSave::freeze() {
  run_together(comm_, [this] {
    for (Held& held : held_) held.freeze();
  });
}

/// Collective. An increment is one on what all tables have known since, by the names they have now.
void MapSave::decide(storage::Record& record) const {
  const storage::Chain& chain = record.chain;
  if (!chain.is_increment()) {
    record.chain = {};
    return;
  }
  std::int32_t mine = 1;
  run_together(comm_, [&] {
    for (std::size_t i = 0; i < held_.size(); ++i) {
      const auto since = since_of(chain.parent_digest, sorted_[i].name);
      if (held_[i].table().since() != since) mine = 0;
    }
  });
  if (all_of<std::int32_t>(comm_, mine, MPI_MIN) == 0) record.chain = {};
}

/// Collective. So that `commit` has nothing to do that may fail.
void MapSave::expect_commit(const storage::Record& record) {
  run_together(comm_, [&] {
    const codec::Digest digest = storage::digest_of(record);
    for (std::size_t i = 0; i < held_.size(); ++i) {
      held_[i].expect(since_of(digest, sorted_[i].name));
    }
  });
}

void MapSave::count(MapOrder::Which which) {
  erased_.resize(held_.size());
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const bool narrow = sorted_[i].map->settings().key_dtype == DType::int32;
    maps_.push_back({sorted_[i].name, {&held_[i].table(), which, narrow}});
  }
}

/// Collective.
void MapSave::leave_out_moved() {
  for (std::size_t i = 0; i < held_.size(); ++i) {
    erased_[i] = erased_to_save(comm_, held_[i].table(), sorted_[i].name);
    maps_[i].source.erased = erased_[i];
  }
}

void MapSave::tell(storage::Record& record) const {
  record.required_features = storage::kMapFeature;
  if (record.chain.is_increment()) {
    record.required_features += ' ';
    record.required_features += storage::kIncrementFeature;
  }
  record.chain.map_bytes = 0;
  for (const FedMap& map : maps_) {
    const std::size_t entry = map.source.entry_bytes(MapPart::keys) +
                              map.source.entry_bytes(MapPart::statuses) +
                              map.source.entry_bytes(MapPart::values);
    record.chain.map_bytes += map.total * entry;
  }
}

/// Collective.
void MapSave::add_entries(SaveKind kind) {
  const bool by_rank = kind == SaveKind::shards;
  const std::vector<OwnPlace> places = by_rank ? own_places() : std::vector<OwnPlace>{};
  if (by_rank || comm_.size() == 1) {
    local_ = std::make_shared<LocalFeed>(maps_);
  } else {
    feed_ = std::make_unique<MapFeed>(comm_, maps_);
  }
  with_maps_ = state_;
  for (std::uint32_t m = 0; m < maps_.size(); ++m) {
    const OwnPlace place = by_rank ? places[m] : OwnPlace{0, maps_[m].total};
    add_default_row(m);
    const Shape& row_shape = sorted_[m].map->settings().row_shape;
    for (const MapPart part : {MapPart::keys, MapPart::statuses, MapPart::values}) {
      const Shape row = part == MapPart::values ? row_shape : Shape{};
      Slice slice = whole(with_rows(maps_[m].total, row));
      slice.offset[0] = place.first;
      slice.extent[0] = place.count;
      add_part(m, part, std::move(slice));
    }
  }
}

/// Collective. In shards each rank has its own entries, those of lower ranks before them.
std::vector<MapSave::OwnPlace> MapSave::own_places() const {
  WireWriter writer;
  for (const FedMap& map : maps_) writer.put(map.source.count());
  const Bytes mine = writer.take();
  const auto ranks = static_cast<std::size_t>(comm_.size());
  const std::vector<Bytes> told = comm_.exchange(std::vector<Bytes>(ranks, mine));
  std::vector<OwnPlace> places(maps_.size());
  for (std::size_t rank = 0; rank <= static_cast<std::size_t>(comm_.rank()); ++rank) {
    WireReader reader(told[rank]);
    for (OwnPlace& place : places) {
      place.first += place.count;
      place.count = reader.get<std::uint64_t>();
    }
  }
  return places;
}

void MapSave::add_default_row(std::uint32_t map) {
  const MapSettings& settings = sorted_[map].map->settings();
  const std::byte* const row = maps_[map].source.table->default_row().data();
  StateExtension::add(*with_maps_, {.name = part_name(maps_[map].name, MapPart::default_row),
                                    .slice = whole(settings.row_shape),
                                    .source = Source::memory(settings.dtype, row),
                                    .given_bytes = std::nullopt,
                                    .family = Family::map_parameter});
  pieces_.push_back({map, MapPart::default_row, 0});
}

void MapSave::add_part(std::uint32_t map, MapPart part, Slice slice) {
  const MapSettings& settings = sorted_[map].map->settings();
  const DType dtype = part == MapPart::keys       ? settings.key_dtype
                      : part == MapPart::statuses ? DType::uint8
                                                  : settings.dtype;
  const std::size_t entry_bytes = maps_[map].source.entry_bytes(part);
  const std::size_t element = size_of(dtype);
  auto read = [=, feed = feed_.get(), local = local_](std::uint64_t first, std::uint64_t count,
                                                      std::byte* out) {
    read_elements(first * element, (first + count) * element, entry_bytes, out,
                  [&](std::uint64_t begin, std::uint64_t end, std::byte* to) {
                    local ? local->read(map, part, begin, end, to)
                          : feed->read(map, part, begin, end, to);
                  });
  };
  StateExtension::add(*with_maps_, {.name = part_name(maps_[map].name, part),
                                    .slice = std::move(slice),
                                    .source = Source::callbacks(dtype, std::move(read)),
                                    .given_bytes = std::nullopt,
                                    .family = Family::map_parameter});
  pieces_.push_back({map, part, entry_bytes});
}

void MapSave::refuse_exchange(const std::string& what) const {
  if (!exchanges()) return;
  throw Error(ErrorCode::invalid_argument,
              what + " cannot save MapParameters from several ranks into one file; shards can be "
                     "saved");
}

std::optional<Error> MapSave::move(SaveEngine& engine, const plan::Routes& routes) {
  if (!feed_) return engine.run();
  for (const Window& window : windows(routes)) {
    engine.run_to(window.first);
    if (auto failed = fetch(routes, window)) {
      engine.give_up(*failed);
      break;
    }
    engine.run_to(window.last);
  }
  return engine.run();
}

void MapSave::capture(Capture& capture, std::span<const SliceAccess> slices,
                      const plan::Routes& routes) {
  if (!feed_) return capture.take(slices);
  capture.take(slices, plain_entries());
  for (const Window& window : windows(routes)) {
    if (auto failed = fetch(routes, window)) return capture.spoil(*failed);
    capture.take_rounds(slices, plain_entries(), window.first, window.last);
  }
}

/// Collective. All ranks have an error, or none has.
std::optional<Error> MapSave::fetch(const plan::Routes& routes, const Window& window) {
  try {
    feed_->fetch(needs(routes, window));
    return std::nullopt;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unresponsive) throw;
    return error;
  }
}

/// Collective. Rounds are as many as the rank with most blocks has.
std::vector<MapSave::Window> MapSave::windows(const plan::Routes& routes) const {
  std::size_t rounds = routes.blocks.size();
  if (!routes.messages.empty()) {
    rounds = std::max<std::size_t>(rounds, routes.messages.back().round + std::size_t{1});
  }
  rounds = all_of<std::uint64_t>(comm_, rounds, MPI_MAX);
  const std::size_t length = std::max<std::uint64_t>(kWindowBytes / routes.block_bytes, 1);
  std::vector<Window> all;
  for (std::size_t first = 0; first < rounds; first += length) {
    all.push_back({first, std::min(first + length, rounds)});
  }
  std::vector<std::uint8_t> is_needed;
  for (const Window& window : all) is_needed.push_back(needs(routes, window).empty() ? 0 : 1);
  comm_.allreduce(std::span<std::uint8_t>(is_needed), MPI_MAX);
  std::vector<Window> needed;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (is_needed[i] != 0) needed.push_back(all[i]);
  }
  return needed;
}

/// What this rank's blocks and messages of these rounds take from maps.
std::vector<MapFeed::Need> MapSave::needs(const plan::Routes& routes, const Window& window) const {
  std::vector<MapFeed::Need> needs;
  for (std::size_t n = window.first; n < std::min(window.last, routes.blocks.size()); ++n) {
    for (const std::uint32_t i : routes.blocks[n].mine) {
      need_piece(routes.mine[i], routes.blocks[n].block, routes.block_bytes, needs);
    }
  }
  auto at = std::ranges::lower_bound(routes.messages, window.first, {}, &plan::Message::round);
  for (; at != routes.messages.end() && at->round < window.last; ++at) {
    for (const std::uint32_t i : at->holdings) {
      need_piece(routes.mine[i], at->block, routes.block_bytes, needs);
    }
  }
  return needs;
}

void MapSave::need_piece(const plan::Holding& holding, std::uint64_t block,
                         std::uint64_t block_bytes, std::vector<MapFeed::Need>& needs) const {
  if (holding.entry < plain_entries_) return;
  const auto& [map, part, bytes] = pieces_[holding.entry - plain_entries()];
  if (part == MapPart::default_row) return;
  const std::uint64_t first = bytes_before(holding.image, block * block_bytes);
  const std::uint64_t last = bytes_before(holding.image, (block + 1) * block_bytes);
  const MapFeed::Need need{map, part, first / bytes, (last + bytes - 1) / bytes};
  if (std::ranges::find(needs, need) == needs.end()) needs.push_back(need);
}

}  // namespace cairn::coord
