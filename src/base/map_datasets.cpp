#include "base/map_datasets.hpp"

#include <algorithm>

#include "cairn/error.hpp"

namespace cairn {
namespace {

/// In the order of a file.
constexpr std::array<std::string_view, kMapParts> kNames{"default_row", "keys", "statuses",
                                                         "values"};

[[noreturn]] void refuse(std::string_view map, const std::string& why) {
  throw Error(ErrorCode::damaged, label(Family::map_parameter, map) + " " + why);
}

/// That the parts fit together.
void check(const StoredMap& map, std::span<const TensorInfo> tensors) {
  const auto part = [&](MapPart which) -> const TensorInfo& { return tensors[map.place(which)]; };
  const TensorInfo& keys = part(MapPart::keys);
  const TensorInfo& statuses = part(MapPart::statuses);
  const TensorInfo& values = part(MapPart::values);
  const TensorInfo& row = part(MapPart::default_row);
  if ((keys.dtype != DType::int64 && keys.dtype != DType::int32) || keys.shape.size() != 1) {
    refuse(map.name, "has keys of type " + type_and_shape(keys) +
                         ", expected one dimension of int32 or int64");
  }
  if (statuses.dtype != DType::uint8 || statuses.shape != keys.shape) {
    refuse(map.name, "has statuses of type " + type_and_shape(statuses) + ", expected uint8 " +
                         to_string(keys.shape));
  }
  const Shape& shape = values.shape;
  if (shape.empty() || shape[0] != keys.shape[0] || values.dtype != row.dtype ||
      !std::ranges::equal(std::span(shape).subspan(1), row.shape) ||
      element_count(row.shape) == 0) {
    refuse(map.name, "has values of type " + type_and_shape(values) + " for keys of type " +
                         type_and_shape(keys) + " and a default row of type " +
                         type_and_shape(row));
  }
}

}  // namespace

std::string part_name(std::string_view map, MapPart part) {
  return std::string(map) + '/' + std::string(kNames[static_cast<std::size_t>(part)]);
}

std::string_view map_of_part(std::string_view name) noexcept {
  return name.substr(0, name.rfind('/'));
}

bool is_part(std::string_view name, MapPart part) noexcept {
  const std::size_t slash = name.rfind('/');
  return slash != std::string_view::npos &&
         name.substr(slash + 1) == kNames[static_cast<std::size_t>(part)];
}

std::vector<StoredMap> maps_in(std::span<const TensorInfo> tensors) {
  constexpr Family kMaps = Family::map_parameter;
  const auto begin = std::ranges::lower_bound(tensors, kMaps, {}, &TensorInfo::family);
  const auto end = std::ranges::upper_bound(tensors, kMaps, {}, &TensorInfo::family);
  const std::span<const TensorInfo> own(begin, end);
  const auto find = [&](const std::string& name) -> std::size_t {
    const auto at = std::ranges::lower_bound(own, name, {}, &TensorInfo::name);
    if (at == own.end() || at->name != name) refuse(map_of_part(name), "has no dataset " + name);
    return static_cast<std::size_t>(&*at - tensors.data());
  };
  std::vector<StoredMap> maps;
  for (const TensorInfo& tensor : own) {
    if (!is_part(tensor.name, MapPart::values)) continue;
    StoredMap map{std::string(map_of_part(tensor.name)), 0, {}};
    for (std::size_t part = 0; part < kMapParts; ++part) {
      map.places[part] = find(part_name(map.name, static_cast<MapPart>(part)));
    }
    check(map, tensors);
    map.entries = tensors[map.place(MapPart::keys)].shape[0];
    maps.push_back(std::move(map));
  }
  if (maps.size() * kMapParts != own.size()) {
    throw Error(ErrorCode::damaged,
                "it has " + std::to_string(own.size()) + " datasets of MapParameters, expected " +
                    std::to_string(kMapParts) + " for each of " + std::to_string(maps.size()));
  }
  return maps;
}

}  // namespace cairn
