#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cairn/cairn.hpp"
#include "world.hpp"

namespace bench {

/// What `--append-info` appends to a checkpoint: a value of each type, counters, and tensors by the
/// rule of the fill. mpi_tests/bench/appendix.py has the same for other readers.
class Appendix {
 public:
  explicit Appendix(const World& world);
  Appendix(const Appendix&) = delete;
  Appendix& operator=(const Appendix&) = delete;

  /// For the settings of a save.
  [[nodiscard]] std::vector<cairn::AppendItem> items();
  /// For a load: the tensors to fill.
  [[nodiscard]] cairn::AppendDict dict();

  /// Local. The tensors' values of `step`.
  void fill(std::uint64_t step);
  /// Local. Others than those of any step.
  void spoil();
  /// Collective. What is not as it was appended at `step`, in words; the same on every rank. Empty:
  /// nothing.
  [[nodiscard]] std::string find_difference(std::uint64_t step,
                                            const cairn::AppendedInfo& loaded) const;

 private:
  const World& world_;
  cairn::Slice rows_;
  std::vector<std::byte> matrix_;
  std::int32_t count_ = 0;
};

}  // namespace bench
