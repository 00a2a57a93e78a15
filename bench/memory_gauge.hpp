#pragma once

#include <cstdint>

namespace bench {

/// How far this process's resident memory rose above what it was when the gauge was made.
class MemoryGauge {
 public:
  /// Starts from what is resident now; an earlier peak is forgotten where the kernel allows that.
  MemoryGauge();

  /// Bytes.
  [[nodiscard]] std::uint64_t peak_above() const;

 private:
  std::uint64_t start_;
};

}  // namespace bench
