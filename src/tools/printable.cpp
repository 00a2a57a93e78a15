#include "tools/printable.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace cairn::tools {
namespace {

constexpr char32_t kNoCharacter = 0xFFFFFFFF;

struct Character {
  char32_t code = kNoCharacter;  ///< of a byte that begins no character of UTF-8
  std::size_t bytes = 1;
};

/// The first character of `text`, which is not empty.
Character first_of(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kSmallest.at(bytes) || code > 0x10FFFF || surrogate) return {};
  return {code, bytes};
}

/// Whether a terminal might do something else than show it.
bool is_harmful(char32_t code) noexcept {
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  const bool turns = code == 0x061C || code == 0x200E || code == 0x200F ||
                     (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return control || turns;
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), format, values...);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Character next = first_of(text);
    if (next.code == kNoCharacter || next.code < 0x20 || next.code == 0x7F) {
      shown += formatted("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
    } else if (is_harmful(next.code)) {
      shown += formatted("\\u%04x", static_cast<unsigned>(next.code));
    } else if (next.code == '\\') {
      shown += "\\\\";
    } else {
      shown += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return shown;
}

std::size_t columns_of(std::string_view text) noexcept {
  std::size_t columns = 0;
  for (; !text.empty(); ++columns) text.remove_prefix(first_of(text).bytes);
  return columns;
}

std::string readable_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return formatted(unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits.at(unit));
}

std::string readable_age(std::chrono::nanoseconds age) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(age).count();
  if (seconds <= 0) return "0 s";
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  if (seconds < 2 * kMinute) return std::to_string(seconds) + " s";
  if (seconds < 2 * kHour) return std::to_string(seconds / kMinute) + " min";
  if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + " h";
  return std::to_string(seconds / kDay) + " days";
}

std::string iso_time(Time time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t seconds = whole.time_since_epoch().count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return date.data() + formatted(".%09lldZ", static_cast<long long>((time - whole).count()));
}

std::string hex(const RunId& id) {
  std::string digits;
  for (const std::byte byte : id) digits += formatted("%02x", std::to_integer<unsigned>(byte));
  return digits;
}

}  // namespace cairn::tools
