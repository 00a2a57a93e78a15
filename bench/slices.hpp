#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cairn/cairn.hpp"
#include "fill.hpp"
#include "mapping.hpp"
#include "workload.hpp"
#include "world.hpp"

namespace bench {

/// A difference between the memory of some rank and the rule.
struct FoundDifference {
  std::string tensor;
  cairn::DType dtype{};
  cairn::Shape shape;
  Difference difference;
  int rank = 0;
};

/// What this rank holds of a workload, in one piece of memory that nothing has touched yet, and the
/// State that names it.
class Slices {
 public:
  /// Collective. `slicing` overrides that of every tensor. Throws Failure where there is no memory.
  Slices(const World& world, const Workload& workload, std::optional<Slicing> slicing,
         Pages pages = Pages::huge);

  [[nodiscard]] cairn::State& state() noexcept { return state_; }
  [[nodiscard]] const cairn::State& state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  /// Local. The values of `step`.
  void fill(std::uint64_t step);
  /// Local. Random bits: what the rule gives can be compressed, and there are disks that do.
  void randomise();
  /// Local. Bytes that no float and hardly an integer of the rule has: what a load leaves out
  /// shows.
  void spoil();
  /// Collective. The first element that is not the rule's, in the order of tensors and indices, of
  /// all ranks; the same on every rank.
  [[nodiscard]] std::optional<FoundDifference> find_difference(std::uint64_t step) const;

 private:
  struct Held {
    const Tensor* tensor;
    std::size_t place;
    cairn::Slice slice;
    std::byte* memory;
  };

  void hold_slices(std::optional<Slicing> slicing);
  void allocate(Pages pages);

  const World& world_;
  const Workload& workload_;
  std::vector<Held> held_;
  std::uint64_t bytes_ = 0;  ///< of all slices
  Mapping memory_;
  cairn::State state_;
};

}  // namespace bench
