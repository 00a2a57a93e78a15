#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/map_datasets.hpp"
#include "cairn/map_parameter.hpp"
#include "coord/comm.hpp"
#include "coord/fill.hpp"
#include "coord/stored.hpp"

namespace cairn::coord {

/// A map that a load fills.
struct MapToLoad {
  std::string stored_name;
  MapParameter* map;
};

/// How many rows ranks hand out at a time. All may be one rank's: it gets 16 MiB then, or of very
/// many ranks 64 KiB each, as long as a row is not larger than that.
std::uint64_t rows_to_hand_out(std::uint64_t row_bytes, int ranks) noexcept;

/// Fills maps from a chain of checkpoints, the full one first: every rank reads its share of the
/// entries, a window at a time, and hands each to the rank that owns its key.
class MapLoad {
 public:
  MapLoad(const Comm& comm, std::span<const MapToLoad> maps) : comm_(comm), maps_(maps) {}

  /// Collective. Empties the maps; what they hold after an error is unspecified.
  void begin();
  /// Collective. Adds what one checkpoint of the chain says. `fill` is of `stored`.
  void add(const Stored& stored, Fill& fill);
  /// Collective. The maps are now as `stored`, the last of the chain, has them.
  void finish(const Stored& stored);

 private:
  struct Window;

  void add_map(const Stored& stored, const StoredMap& map, MapParameter& to, Fill& fill);
  void read(const Stored& stored, Fill& fill, State& state, std::vector<std::size_t> places) const;
  void read_keys(const Stored& stored, const StoredMap& map, Window& window, Fill& fill) const;
  void read_rows(const Stored& stored, const StoredMap& map, Window& window, Fill& fill) const;
  void hand_out(const Stored& stored, const Window& window, std::uint64_t length,
                MapParameter& to);
  void hand_out_some(const Stored& stored, const Window& window, std::uint64_t first,
                     std::uint64_t last, MapParameter& to);

  const Comm& comm_;
  std::span<const MapToLoad> maps_;
};

/// The stored map of that name. Throws `damaged` where there is none like `map`.
const StoredMap& stored_map(const Stored& stored, std::span<const StoredMap> maps,
                            const MapToLoad& map);

}  // namespace cairn::coord
