#pragma once

#include <array>
#include <string_view>

namespace cairn::fuzz {

/// What tables of an index are called, by the numbers that inputs have for them.
inline constexpr std::array<std::string_view, 10> kIndexNames{
    "checksum", "shards",         "tensors/a",        "tensors/b",          "tensors/",
    "other",    "tensors/m/keys", "tensors/m/values", "tensors/m/statuses", "tensors/m/default_row"};
/// Beside the number: the table is the first one of append_info, or of MapParameters.
inline constexpr unsigned kBeginsInfo = 0x80;
inline constexpr unsigned kBeginsMaps = 0x40;

}  // namespace cairn::fuzz
