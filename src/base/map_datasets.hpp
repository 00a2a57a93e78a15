#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace cairn {

/// The datasets that a map is stored as. The three last ones have as many entries as each other.
enum class MapPart : std::uint8_t { default_row, keys, statuses, values };

inline constexpr std::size_t kMapParts = 4;

/// "emb/keys".
std::string part_name(std::string_view map, MapPart part);
/// The map's part of such a name; all of it where it has no slash.
std::string_view map_of_part(std::string_view name) noexcept;
/// Whether the name is that of this part of some map.
bool is_part(std::string_view name, MapPart part) noexcept;

/// A map among the tensors of a checkpoint.
struct StoredMap {
  std::string name;
  std::uint64_t entries = 0;
  std::array<std::size_t, kMapParts> places{};  ///< of its parts among the tensors

  [[nodiscard]] std::size_t place(MapPart part) const noexcept {
    return places[static_cast<std::size_t>(part)];
  }
};

/// The maps among tensors in the order of their keys. Throws `damaged` where the datasets of the
/// family are not those of whole maps that agree with each other.
std::vector<StoredMap> maps_in(std::span<const TensorInfo> tensors);

}  // namespace cairn
