#include "report.hpp"

#include <array>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <utility>

namespace bench {
namespace {

/// Wide enough for the longest key that is printed.
constexpr int kKeyColumns = 34;

std::string fixed(double value, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value;
  return text.str();
}

/// "1.39 GiB"
std::string readable(std::uint64_t bytes) {
  constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fixed(value, unit == 0 ? 0 : 2) + " " + kUnits[unit];
}

}  // namespace

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 1;
}

Report& Report::text(std::string key, std::string value) {
  lines_.push_back({std::move(key), std::move(value), {}});
  return *this;
}

Report& Report::count(std::string key, std::uint64_t value) {
  const std::string digits = std::to_string(value);
  lines_.push_back({std::move(key), digits, digits});
  return *this;
}

Report& Report::bytes(std::string key, std::uint64_t value) {
  const std::string digits = std::to_string(value);
  const std::string shown = value < 1024 ? digits : digits + " (" + readable(value) + ")";
  lines_.push_back({std::move(key), shown, digits});
  return *this;
}

Report& Report::number(std::string key, double value, int decimals) {
  const std::string digits = fixed(value, decimals);
  lines_.push_back({std::move(key), digits, digits});
  return *this;
}

void Report::print(std::ostream& out) const {
  for (const Line& line : lines_) {
    out << std::left << std::setw(kKeyColumns) << line.key + ":" << line.shown << '\n';
  }
  out.flush();
}

nlohmann::ordered_json Report::json() const {
  auto object = nlohmann::ordered_json::object();
  for (const Line& line : lines_) {
    if (line.number.empty()) {
      object[line.key] = line.shown;
    } else {
      object[line.key] = nlohmann::ordered_json::parse(line.number);
    }
  }
  return object;
}

}  // namespace bench
