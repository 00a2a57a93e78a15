#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace bench {
namespace {

/// How many values may be cut off at either end: the largest k so that fewer than k of n fair coins
/// fall heads with a probability of at most 2.5 %.
std::size_t cut_off(std::size_t n) {
  double probability = std::pow(0.5, static_cast<double>(n));  // of exactly k heads
  double at_most = 0;
  for (std::size_t k = 0;; ++k) {
    at_most += probability;
    if (at_most > 0.025) return k;
    probability *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
}

}  // namespace

Median median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  const std::size_t cut = cut_off(n);
  const std::size_t outside = cut > 0 ? cut - 1 : 0;
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values[outside], values[n - 1 - outside]};
}

}  // namespace bench
