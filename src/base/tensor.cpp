#include "base/tensor.hpp"

#include <array>

namespace cairn {
namespace {

/// By family.
constexpr std::array<const char*, 3> kLabels{"tensor \"", "append_info \"", "map_parameter \""};
constexpr std::array<const char*, 3> kListed{"", "append_info/", "map_parameter/"};

}  // namespace

std::string label(Family family, std::string_view name) {
  return kLabels[static_cast<std::size_t>(family)] + std::string(name) + "\"";
}

std::string listed_name(Family family, std::string_view name) {
  return kListed[static_cast<std::size_t>(family)] + std::string(name);
}

std::string type_and_shape(const TensorInfo& tensor) {
  if (tensor.is_text) return "a text of " + std::to_string(tensor.shape.at(0)) + " bytes";
  return std::string(to_string(tensor.dtype)) + " " + to_string(tensor.shape);
}

}  // namespace cairn
