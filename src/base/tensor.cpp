#include "base/tensor.hpp"

namespace cairn {

std::string label(Family family, std::string_view name) {
  const char* const what = family == Family::parameter ? "tensor \"" : "append_info \"";
  return what + std::string(name) + "\"";
}

std::string listed_name(Family family, std::string_view name) {
  return (family == Family::parameter ? "" : "append_info/") + std::string(name);
}

std::string type_and_shape(const TensorInfo& tensor) {
  if (tensor.is_text) return "a text of " + std::to_string(tensor.shape.at(0)) + " bytes";
  return std::string(to_string(tensor.dtype)) + " " + to_string(tensor.shape);
}

}  // namespace cairn
