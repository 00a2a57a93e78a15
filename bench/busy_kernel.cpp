#include "busy_kernel.hpp"

#include <chrono>
#include <numeric>

namespace bench {

BusyKernel::BusyKernel()
    : a_(kSize * kSize, 1.0 / kSize), b_(kSize * kSize, 0.5), c_(kSize * kSize, 0.0) {}

double BusyKernel::run() {
  const auto start = std::chrono::steady_clock::now();
  for (int product = 0; product < kProducts; ++product) {
    for (std::size_t i = 0; i < kSize; ++i) {
      for (std::size_t k = 0; k < kSize; ++k) {
        const double factor = a_[i * kSize + k];
        for (std::size_t j = 0; j < kSize; ++j) c_[i * kSize + j] += factor * b_[k * kSize + j];
      }
    }
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double BusyKernel::checksum() const { return std::accumulate(c_.begin(), c_.end(), 0.0); }

}  // namespace bench
