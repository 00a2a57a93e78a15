#include "cairn/dtype.hpp"

#include <array>

namespace cairn {
namespace {

struct Row {
  std::string_view name;
  std::size_t bytes;
};

/// In the order of the enumeration.
constexpr std::array<Row, kDTypeCount> kRows{{{"float64", 8},
                                              {"float32", 4},
                                              {"float16", 2},
                                              {"bfloat16", 2},
                                              {"float8_e4m3", 1},
                                              {"float8_e5m2", 1},
                                              {"int8", 1},
                                              {"uint8", 1},
                                              {"int16", 2},
                                              {"uint16", 2},
                                              {"int32", 4},
                                              {"uint32", 4},
                                              {"int64", 8},
                                              {"uint64", 8},
                                              {"bool", 1},
                                              {"complex64", 8},
                                              {"complex128", 16}}};

}  // namespace

std::size_t size_of(DType dtype) noexcept { return kRows[static_cast<std::size_t>(dtype)].bytes; }

std::string_view to_string(DType dtype) noexcept {
  return kRows[static_cast<std::size_t>(dtype)].name;
}

std::optional<DType> dtype_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace cairn
