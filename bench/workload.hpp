#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cairn/dtype.hpp"
#include "cairn/slice.hpp"

namespace bench {

/// What N ranks hold of a tensor; bench/workloads/README.md has the rules.
enum class Slicing : std::uint8_t { rows, columns, grid, replicated, stage };

std::optional<Slicing> slicing_named(std::string_view name);

struct Tensor {
  std::string name;
  cairn::DType dtype;
  cairn::Shape shape;
  Slicing slicing;

  [[nodiscard]] std::uint64_t bytes() const;
};

/// The tensors of a model. A tensor's place in the list, from 0, is part of its values.
struct Workload {
  std::vector<Tensor> tensors;

  [[nodiscard]] std::uint64_t bytes() const;
};

/// The text is not a workload; the message says where and why.
class WorkloadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws WorkloadError.
Workload parse_workload(std::string_view json);

/// What `rank` of `ranks` holds of the tensor at `place` in the list: a box, perhaps an empty one,
/// or nothing at all where another rank is the tensor's stage.
std::optional<cairn::Slice> slice_of(const cairn::Shape& shape, Slicing slicing, std::size_t place,
                                     int rank, int ranks);

}  // namespace bench
