#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "contestant.hpp"
#include "statistics.hpp"

namespace bench {

/// What each way took, run by run; the i-th runs of all are neighbours in time.
using Samples = std::map<std::string, std::vector<Sample>>;

/// One figure of a comparison, paired run by run, and what is demanded of it.
struct Line {
  std::string name;
  Median value;
  std::optional<double> bound;
  bool at_least = true;  ///< else at most

  /// Whether the interval of 95 % reaches the bound.
  [[nodiscard]] bool met() const {
    return !bound || (at_least ? value.high >= *bound : value.low <= *bound);
  }
};

/// What is demanded depends on the workload: the name of its file, without ending.
struct Demands {
  std::string workload;
  bool in_memory = false;  ///< the file system has no device behind it
  double gigabytes = 0;
};

/// All lines that these samples allow for.
std::vector<Line> lines_of(const Samples& samples, const Demands& demands);

/// Of each run the faster of the two ways of parallel HDF5 by hand; empty where there is none.
std::vector<double> best_by_hand(const Samples& samples);

/// Values of the runs, the numerator's seconds over the denominator's.
std::vector<double> ratios(const std::vector<double>& numerator,
                           const std::vector<double>& denominator);
std::vector<double> seconds_of(const std::vector<Sample>& samples);

}  // namespace bench
