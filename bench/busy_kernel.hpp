#pragma once

#include <cstddef>
#include <vector>

namespace bench {

/// Something that computes all the time, as training does: the product of two matrices that fit in a
/// core's own cache.
class BusyKernel {
 public:
  BusyKernel();

  /// Some milliseconds of work. Returns the seconds it took.
  double run();
  /// Of what was computed, so that nobody leaves it out.
  [[nodiscard]] double checksum() const;

 private:
  static constexpr std::size_t kSize = 160;
  static constexpr int kProducts = 4;

  std::vector<double> a_;
  std::vector<double> b_;
  std::vector<double> c_;
};

}  // namespace bench
