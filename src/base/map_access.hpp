#pragma once

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
};

}  // namespace cairn
