#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "cairn/state.hpp"
#include "plan/cover.hpp"

namespace cairn::plan {

/// HDF5's bound on the number of dimensions.
inline constexpr std::size_t kMostDimensions = 32;

/// One entry of a State, as its rank tells it to the others: which box of which tensor it holds.
struct Claim {
  TensorInfo tensor;
  Box box;
};

/// Throws `invalid_argument` for an entry that is wrong by itself, naming it: its name, its slice, or
/// what is behind it.
void check_entries(const State& state);

/// The claims of a State, in the order of its entries, which it checks.
std::vector<Claim> describe(const State& state);

void put_claim(WireWriter& writer, const Claim& claim);
Claim get_claim(WireReader& reader);

/// What tells one structure of a State's claims from another.
void put_structure(WireWriter& writer, const State& state);

void put_box(WireWriter& writer, const Box& box);
Box get_box(WireReader& reader);

void put_tensor(WireWriter& writer, const TensorInfo& tensor);
TensorInfo get_tensor(WireReader& reader);

/// The rank that plans the tensors of that name: a hash of the name modulo the ranks.
int home_of(std::string_view name, int ranks) noexcept;

}  // namespace cairn::plan
