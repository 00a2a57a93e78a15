#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/map_table.hpp"

namespace cairn {

/// The entries of a table in the order in which they are saved: ascending by `order_of` their key,
/// whatever ranks they come from and in whatever way they came to be. The leading bits of that
/// number are an entry's bucket: entries are handed out bucket by bucket, so that the ranks can
/// merge theirs with bounded memory. How many buckets there are does not change the order.
///
/// Every pass over some buckets looks at all keys of the table (2 ns each) and takes memory for the
/// entries of those buckets alone. Refers to the table, which must not change; for what has changed it
/// must be frozen.
class MapOrder {
 public:
  enum class Which {
    all,      ///< every entry that is there: a full save
    changed,  ///< those that are in flight: modified ones that are there, and erased keys
  };
  struct Entry {
    std::int64_t key;
    MapTable::Number number;  ///< of the row; `MapRows::kNone`: the key was erased
  };

  /// With 2^`bucket_bits` buckets, at most 2^32.
  MapOrder(const MapTable& table, Which which, unsigned bucket_bits);
  /// The same with other erased keys than the table's. They must stay.
  MapOrder(const MapTable& table, Which which, unsigned bucket_bits,
           std::span<const std::int64_t> erased);

  /// Bits for buckets of at most `most` entries on average, when there are `entries` over all
  /// ranks.
  static unsigned bits_for(std::uint64_t entries, std::uint64_t most);

  /// Entries of each bucket, on this rank.
  [[nodiscard]] std::span<const std::uint64_t> counts() const noexcept { return counts_; }
  /// The end of the longest run of buckets from `first` on that has at most `most` entries; of one
  /// bucket, where that one alone has more.
  [[nodiscard]] std::size_t run_end(std::size_t first, std::uint64_t most) const;
  /// The entries of buckets [first, last), in order: 16 bytes each, and 8 for each bucket.
  [[nodiscard]] std::vector<Entry> entries(std::size_t first, std::size_t last) const;
  [[nodiscard]] std::size_t bucket_of(std::uint64_t order) const noexcept {
    return bits_ == 0 ? 0 : order >> (64 - bits_);
  }

 private:
  template <class Visit>
  void visit(Visit&& visit) const;

  const MapTable* table_;
  Which which_;
  std::span<const std::int64_t> erased_;
  unsigned bits_;
  std::vector<std::uint64_t> counts_;
};

}  // namespace cairn
