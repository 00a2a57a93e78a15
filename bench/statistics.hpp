#pragma once

#include <vector>

namespace bench {

/// A median with an interval that holds the true one with a probability of 95 % or more, by the order
/// of the values alone: no distribution is assumed. With fewer than six values it is all of them.
struct Median {
  double value = 0;
  double low = 0;
  double high = 0;
};

/// Of at least one value.
Median median_of(std::vector<double> values);

}  // namespace bench
