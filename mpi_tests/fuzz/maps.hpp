#pragma once

#include "base/map_datasets.hpp"
#include "fuzz/input.hpp"
#include "storage/stored_object.hpp"

namespace cairn::fuzz {

/// Looks for the MapParameters among tensors that a parser has given.
inline void read_maps(std::span<const TensorInfo> tensors) {
  std::size_t parts = 0;
  for (const TensorInfo& tensor : tensors) parts += tensor.family == Family::map_parameter ? 1 : 0;
  accepts([&] {
    const auto maps = maps_in(tensors);
    require(parts == kMapParts * maps.size());
    for (const StoredMap& map : maps) {
      for (std::size_t part = 0; part < kMapParts; ++part) {
        const TensorInfo& tensor = tensors[map.places[part]];
        require(tensor.name == part_name(map.name, static_cast<MapPart>(part)));
        require(part == 0 || tensor.shape.at(0) == map.entries);
      }
    }
  });
}

}  // namespace cairn::fuzz
