#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cairn/inspect.hpp"
#include "cairn/key.hpp"
#include "tools/ranks.hpp"

namespace cairn::tools {

/// Of the values of one tensor; complex numbers count by their magnitude. A `long double` holds
/// every integer of 64 bits.
struct Statistics {
  std::uint64_t count = 0;
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;
  /// Over all that are not NaN. Meaningless where there are none.
  long double least = 0;
  long double greatest = 0;
  /// Of the finite ones.
  long double sum = 0;

  [[nodiscard]] bool has_extremes() const noexcept { return count > nans; }
  [[nodiscard]] std::uint64_t finite() const noexcept { return count - nans - infinities; }

  void add(long double value) noexcept;
  void add(const Statistics& other) noexcept;
};

/// Collective. Reads all values of the tensors, the ranks sharing the work. On rank 0 the
/// statistics of each, in their order; elsewhere nothing. No rank holds more than some buffers.
std::vector<Statistics> read_statistics(const Ranks& ranks, const std::filesystem::path& path,
                                        const Key& key,
                                        const std::vector<StoredTensor>& tensors);

}  // namespace cairn::tools
