#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cairn/dtype.hpp"
#include "cairn/export.hpp"
#include "cairn/map_parameter.hpp"
#include "cairn/slice.hpp"
#include "cairn/source.hpp"

namespace cairn {

/// What an entry is in a checkpoint. The names of one family are no names of another.
enum class Family : std::uint8_t {
  parameter,    ///< what `State::add` adds
  append_info,  ///< what Cairn adds for `append_info`
  /// What Cairn makes of a `MapParameter`: "<name>/keys", "<name>/values" and so on.
  map_parameter,
};

/// What one rank holds: named slices of global tensors. It copies no values and owns none; build
/// it once and use it for every save and load. Each rank names only what it holds, in any order.
/// A rank may add several boxes of one tensor under one name. Whether it all fits together is
/// judged over all ranks, at the save or load, so that all of them hear the same error.
class CAIRN_API State {
 public:
  /// What one `add` said.
  struct Entry {
    std::string name;  ///< of the tensor
    Slice slice;       ///< the box of it that this rank holds
    Source source;     ///< where the box's elements are
    /// Bytes behind a span, where one was given; checked against the slice.
    std::optional<std::uint64_t> given_bytes;
    /// What it is in a checkpoint.
    Family family = Family::parameter;
    /// Of append_info only: the elements, of type uint8, are the bytes of one text.
    bool is_text = false;
  };

  /// Local. The elements of `slice` in row-major order. Of `std::span<const T>` only saves work.
  template <class T, std::size_t count>
    requires Element<std::remove_const_t<T>>
  State& add(std::string name, std::span<T, count> values, Slice slice) {
    Source source = Source::memory(dtype_of<std::remove_const_t<T>>(), values.data());
    return add_entry({std::move(name), std::move(slice), std::move(source), values.size_bytes()});
  }

  /// Local. A scalar, the same on every rank that adds it.
  template <Element T>
  State& add(std::string name, T& scalar) {
    return add_entry({std::move(name), Slice{}, Source::memory(dtype_of<T>(), &scalar), sizeof(T)});
  }

  /// Local. Any memory layout, or callbacks.
  State& add(std::string name, Slice slice, Source source) {
    return add_entry({std::move(name), std::move(slice), std::move(source), std::nullopt});
  }

  /// Local. A hash table whose keys are spread over the ranks. It is not owned and must live as long
  /// as this State is used. Every rank of a save or load adds the same maps, once each, under the same
  /// names and made from the same settings; no two ranks hold the same key. A save takes the entries
  /// that are there, whoever holds them. A load empties the map, gives it the stored default row and the
  /// entries that this rank owns (`MapParameter::owner`).
  State& add(std::string name, MapParameter& map);

  /// What `add(name, map)` said.
  struct Map {
    std::string name;   ///< no name of a tensor: tensors may have the same
    MapParameter* map;  ///< never null
  };

  /// In the order of adding.
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  /// In the order of adding.
  [[nodiscard]] const std::vector<Map>& maps() const noexcept { return maps_; }

 private:
  friend class StateExtension;  // Cairn's own, for the other families

  State& add_entry(Entry entry);

  std::vector<Entry> entries_;
  std::vector<Map> maps_;
};

}  // namespace cairn
