#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bench {

/// 1 where there is nothing to divide by.
double ratio(double part, double whole);

/// Lines of `key: value`, for people and for programs: a number is the first word after the colon,
/// in bytes or seconds, and what follows it in brackets is the same for people.
class Report {
 public:
  Report& text(std::string key, std::string value);
  Report& count(std::string key, std::uint64_t value);
  Report& bytes(std::string key, std::uint64_t value);
  Report& number(std::string key, double value, int decimals);

  void print(std::ostream& out) const;
  /// The same as one object, its keys and their order those of the lines.
  [[nodiscard]] nlohmann::ordered_json json() const;

 private:
  struct Line {
    std::string key;
    std::string shown;
    /// Where the value is a number it is kept as JSON writes it; else `shown` is a text.
    std::string number;
  };
  std::vector<Line> lines_;
};

}  // namespace bench
