#pragma once

#include <algorithm>
#include <memory>
#include <span>

#include "base/map_table.hpp"
#include "cairn/map_parameter.hpp"

namespace cairn {

struct MapParameter::Impl {
  MapSettings settings;
  MapTable table;
};

/// The way behind the face of a MapParameter, for those who save and load it.
class MapAccess {
 public:
  static MapTable& table(MapParameter& map) { return map.impl_->table; }
  static const MapTable& table(const MapParameter& map) { return map.impl_->table; }
  /// For who needs the table after the map was moved, assigned to or destroyed.
  static std::shared_ptr<MapTable> share(MapParameter& map) {
    return {map.impl_, &map.impl_->table};
  }
  /// `row` has `row_bytes()`.
  static void set_default_row(MapParameter& map, std::span<const std::byte> row) noexcept {
    map.impl_->table.set_default_row(row);
    std::ranges::copy(row, map.impl_->settings.default_row.begin());
  }
};

}  // namespace cairn
