#include "coord/map_set.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/map_access.hpp"
#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "cairn/error.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

std::uint64_t digest_of(const std::vector<State::Map>& maps) {
  WireWriter writer;
  for (const auto& [name, map] : maps) {
    const MapSettings& settings = map->settings();
    writer.put_text(name).put(settings.key_dtype).put(settings.dtype);
    writer.put_all(std::span<const std::uint64_t>(settings.row_shape));
    writer.put_all(MapAccess::table(*map).default_row());
  }
  return WireReader(codec::sha256(writer.take())).get<std::uint64_t>();
}

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, label(Family::map_parameter, name) + why);
}

/// `maps` are sorted by name.
void check_names(const std::vector<State::Map>& maps) {
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const std::string& name = maps[i].name;
    if (name.empty()) refuse(name, ": a name must not be empty");
    if (i > 0 && maps[i - 1].name == name) refuse(name, " is in the State twice");
  }
}

void check_objects(std::vector<State::Map> maps) {
  std::ranges::stable_sort(maps, std::less<>{}, &State::Map::map);
  const auto twice = std::ranges::adjacent_find(maps, {}, &State::Map::map);
  if (twice == maps.end()) return;
  refuse(twice->name, " and " + label(Family::map_parameter, (twice + 1)->name) +
                          " are one object, expected a MapParameter for each name");
}

}  // namespace

std::vector<State::Map> same_maps(const Comm& comm, const State& state) {
  if (all_of<std::uint64_t>(comm, state.maps().size(), MPI_MAX) == 0) return {};
  std::vector<State::Map> maps;
  std::uint64_t digest = 0;
  run_together(comm, [&] {
    maps = state.maps();
    std::ranges::sort(maps, {}, &State::Map::name);
    check_names(maps);
    check_objects(maps);
    digest = digest_of(maps);
  });
  check_same(comm, digest,
             "the MapParameters of a State (names, key_dtype, dtype, row_shape, default_row)");
  return maps;
}

MapTable::Since since_of(const codec::Digest& checkpoint, std::string_view stored_name) {
  Bytes told(checkpoint.begin(), checkpoint.end());
  const auto name = std::as_bytes(std::span(stored_name));
  told.insert(told.end(), name.begin(), name.end());
  return codec::sha256(told);
}

}  // namespace cairn::coord
