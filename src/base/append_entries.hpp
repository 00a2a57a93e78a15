#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "cairn/append_info.hpp"
#include "cairn/state.hpp"

namespace cairn {

// append_info as entries beside those of a state, and back.

/// Adds entries of another family to a State.
class StateExtension {
 public:
  static void add(State& state, State::Entry entry) { state.add_entry(std::move(entry)); }
};

/// What a save stores: the state, and beside it what is appended. Of plain values it has copies,
/// which live as long as its entries.
State with_append_info(State state, const AppendDict& dict);

/// Adds the tensors that a load can fill.
void add_entries_to_fill(State& state, const AppendDict& dict);

/// Puts what must be the same on all ranks: all but the tensors.
void put_plain_values(WireWriter& writer, const AppendDict& dict);

/// Whether it comes back as a value, not as a tensor.
bool is_plain(const TensorInfo& stored);

/// The value of a plain one from its bytes, which may be anybody's. Throws `damaged`.
AppendedValue decode_plain(const TensorInfo& stored, std::span<const std::byte> bytes);

}  // namespace cairn
