#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/map_datasets.hpp"
#include "base/map_order.hpp"
#include "base/map_table.hpp"
#include "cairn/dtype.hpp"

namespace cairn {

/// What a save stores of a table: all entries as unchanged ones, or what has changed.
struct MapSource {
  const MapTable* table = nullptr;
  MapOrder::Which which = MapOrder::Which::all;
  bool narrow_keys = false;  ///< int32
  std::span<const std::int64_t> erased{};  ///< of what has changed; the keys must stay

  /// How many entries there are.
  [[nodiscard]] std::uint64_t count() const;
  /// Bytes of an entry in one of the last three.
  [[nodiscard]] std::size_t entry_bytes(MapPart part) const noexcept;
  /// Whether a part is the same whatever the entries are: zeros.
  [[nodiscard]] bool is_zero(MapPart part) const noexcept {
    return part == MapPart::statuses && which == MapOrder::Which::all;
  }
  /// What the part says of these entries, one after another. An erased entry's row is zeros.
  void copy(MapPart part, std::span<const MapOrder::Entry> entries, std::byte* out) const;
};

/// A table in the order in which it is saved. It keeps the entries of some neighbouring buckets, 16
/// bytes each: reading on from there is cheap, going anywhere else takes a pass over all keys.
class MapReader {
 public:
  /// At most so many entries are kept, where a bucket has no more.
  static constexpr std::uint64_t kMostKept = std::uint64_t{1} << 21;

  MapReader(const MapSource& source, unsigned bucket_bits);

  [[nodiscard]] const MapSource& source() const noexcept { return source_; }
  [[nodiscard]] std::span<const std::uint64_t> counts() const noexcept { return order_.counts(); }
  /// The entries of buckets [first, last), until the next call.
  std::span<const MapOrder::Entry> entries(std::size_t first, std::size_t last);
  /// Buckets [first, last) are asked for next, in any order: if they are not too many, one pass over
  /// the keys is made for all of them.
  void expect(std::size_t first, std::size_t last);
  /// What a part says of this table's entries from number `first` to `last`.
  void read(MapPart part, std::uint64_t first, std::uint64_t last, std::byte* out);

 private:
  MapSource source_;
  MapOrder order_;
  std::vector<std::uint64_t> begins_;  ///< of each bucket, and the end
  std::size_t first_ = 0;  ///< the buckets whose entries are kept
  std::size_t last_ = 0;
  std::vector<MapOrder::Entry> kept_;
};

/// Where each bucket begins, and the end.
std::vector<std::uint64_t> begins_of(std::span<const std::uint64_t> counts);

}  // namespace cairn
