#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "cairn/options.hpp"

namespace cairn::tools {

/// Text from a file or a directory, as it may go to a terminal: control characters, what turns the
/// direction of writing, and bytes that are no UTF-8 become \x.. or \u...., a backslash two.
std::string printable(std::string_view text);

/// Columns that `text`, which is printable, takes.
std::size_t columns_of(std::string_view text) noexcept;

/// "1.39 GiB"
std::string readable_bytes(std::uint64_t bytes);

/// "3 min", rounded down; "0 s" for what is yet to come.
std::string readable_age(std::chrono::nanoseconds age);

/// "2026-01-31T12:00:00.000000000Z"
std::string iso_time(Time time);

/// 32 hexadecimal digits.
std::string hex(const RunId& id);

}  // namespace cairn::tools
