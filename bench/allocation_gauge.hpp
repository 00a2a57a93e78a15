#pragma once

#include <cstdint>

namespace bench {

/// Counts what `new` takes and `delete` gives back while one of these is there: one at a time, and
/// nothing under a sanitizer, which needs `new` for itself.
class AllocationGauge {
 public:
  /// Starts from nothing.
  AllocationGauge();
  AllocationGauge(const AllocationGauge&) = delete;
  AllocationGauge& operator=(const AllocationGauge&) = delete;
  ~AllocationGauge();

  /// Bytes that were taken since the start and not given back; less than zero where older ones were.
  [[nodiscard]] static std::int64_t live();
  /// The most that `live` was.
  [[nodiscard]] static std::int64_t peak();
};

}  // namespace bench
