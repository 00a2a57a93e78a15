// Abseil's flat_hash_map, in the ways in which one would use it for rows.
#include "map_tasks.hpp"

#ifdef CAIRN_BENCH_ABSEIL
#include <absl/container/flat_hash_map.h>
#endif

namespace bench {

#ifdef CAIRN_BENCH_ABSEIL
namespace {

/// Far enough ahead for memory to answer in the meantime.
constexpr std::size_t kAhead = 16;

/// Rows in the map's own slots.
template <bool kPrefetch>
class RowsInSlots {
 public:
  void get(std::int64_t key, Row& row) const {
    const auto found = map_.find(key);
    row = found == map_.end() ? Row{} : found->second;
  }
  void put(std::int64_t key, const Row& row) { map_[key] = row; }
  void erase(std::int64_t key) { map_.erase(key); }

  void get(std::span<const std::int64_t> keys, std::span<Row> rows) const {
    each(keys, [&](std::size_t i) { get(keys[i], rows[i]); });
  }
  void put(std::span<const std::int64_t> keys, std::span<const Row> rows) {
    each(keys, [&](std::size_t i) { put(keys[i], rows[i]); });
  }
  void erase(std::span<const std::int64_t> keys) {
    each(keys, [&](std::size_t i) { erase(keys[i]); });
  }

 private:
  template <class Visit>
  void each(std::span<const std::int64_t> keys, Visit&& visit) const {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (kPrefetch && i + kAhead < keys.size()) map_.prefetch(keys[i + kAhead]);
      visit(i);
    }
  }

  absl::flat_hash_map<std::int64_t, Row> map_;
};

/// Places in the slots; rows one after another, places of erased ones used again.
class PlacesInSlots {
 public:
  void get(std::int64_t key, Row& row) const {
    const auto found = map_.find(key);
    row = found == map_.end() ? Row{} : rows_[found->second];
  }
  void put(std::int64_t key, const Row& row) {
    const auto [place, is_new] = map_.try_emplace(key, 0);
    if (is_new) place->second = new_place();
    rows_[place->second] = row;
  }
  void erase(std::int64_t key) {
    const auto found = map_.find(key);
    if (found == map_.end()) return;
    free_.push_back(found->second);
    map_.erase(found);
  }

  void get(std::span<const std::int64_t> keys, std::span<Row> rows) const {
    for (std::size_t i = 0; i < keys.size(); ++i) get(keys[i], rows[i]);
  }
  void put(std::span<const std::int64_t> keys, std::span<const Row> rows) {
    for (std::size_t i = 0; i < keys.size(); ++i) put(keys[i], rows[i]);
  }
  void erase(std::span<const std::int64_t> keys) {
    for (const std::int64_t key : keys) erase(key);
  }

 private:
  std::uint32_t new_place() {
    if (free_.empty()) {
      rows_.emplace_back();
      return static_cast<std::uint32_t>(rows_.size() - 1);
    }
    const std::uint32_t place = free_.back();
    free_.pop_back();
    return place;
  }

  absl::flat_hash_map<std::int64_t, std::uint32_t> map_;
  std::vector<Row> rows_;
  std::vector<std::uint32_t> free_;
};

}  // namespace

std::vector<NamedContender> other_maps(std::span<const std::int64_t> keys,
                                       std::span<const Row> rows) {
  std::vector<NamedContender> maps;
  maps.push_back({"absl rows", std::make_unique<TimedMap<RowsInSlots<false>>>(keys, rows)});
  maps.push_back(
      {"absl rows, prefetch", std::make_unique<TimedMap<RowsInSlots<true>>>(keys, rows)});
  maps.push_back({"absl places", std::make_unique<TimedMap<PlacesInSlots>>(keys, rows)});
  return maps;
}
#else
std::vector<NamedContender> other_maps(std::span<const std::int64_t>, std::span<const Row>) {
  return {};
}
#endif

}  // namespace bench
