#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/map_reader.hpp"
#include "base/wire.hpp"
#include "coord/comm.hpp"

namespace cairn::coord {

/// A map whose entries all ranks save together.
struct FedMap {
  std::string name;
  MapSource source;         ///< this rank's entries
  std::uint64_t total = 0;  ///< entries of all ranks
};

/// Brings entries of maps to the ranks that write them. The file has the entries of all ranks in one
/// order, so whoever owns a block of it needs some of every rank's:
///
/// 1. All ranks count their entries by bucket (the leading bits of the order); the sums say at which
///    place of the file each bucket begins.
/// 2. All ranks tell each other which places they need next.
/// 3. Step by step, each rank gets the buckets around its places from all ranks, some megabytes at a
///    time, merges them, and keeps what it needs of one part: keys, statuses or rows.
///
/// Memory does not grow with the maps: what is asked for at a time, one step's messages, and the
/// entries that a `MapReader` keeps.
class MapFeed {
 public:
  /// A range of a map's entries, by their places in the file, that this rank needs.
  struct Need {
    std::uint32_t map = 0;
    MapPart part = MapPart::keys;
    std::uint64_t first = 0;
    std::uint64_t last = 0;

    bool operator==(const Need&) const = default;
  };

  /// Both must outlive it, and so must the tables, which must not change before the last `fetch`.
  MapFeed(const Comm& comm, const std::vector<FedMap>& maps);

  /// Collective. Forgets what there was and gets what each rank needs now. Throws the same error on
  /// all ranks: `layout` where two ranks hold one key.
  void fetch(std::vector<Need> needs);
  /// Local. Copies entries that were fetched.
  void read(std::uint32_t map, MapPart part, std::uint64_t first, std::uint64_t last,
            std::byte* out) const;

 private:
  /// Some buckets that a rank needs, whole ones: the edges are cut off after the merge.
  struct Step {
    const Need* need;
    std::size_t first_bucket;
    std::size_t last_bucket;
  };
  /// A map that is being read.
  struct Open {
    std::optional<MapReader> reader;
    std::vector<std::uint64_t> begins;  ///< over all ranks: of each bucket, and the end
  };
  struct Kept {
    Need need;
    Bytes bytes;
  };

  [[nodiscard]] std::vector<std::vector<Need>> tell_needs() const;
  void open_needed(const std::vector<std::vector<Need>>& needs);
  void open(std::uint32_t map);
  [[nodiscard]] std::vector<Step> steps_of(const std::vector<Need>& needs) const;
  void expect(const std::vector<std::vector<Step>>& steps);
  [[nodiscard]] Bytes pack(const Step& step);
  void take(const Step& step, const std::vector<Bytes>& from);
  [[nodiscard]] std::byte* bytes_of(const Need& need);

  const Comm& comm_;
  const std::vector<FedMap>& maps_;
  std::vector<Open> open_;
  std::vector<Kept> kept_;
};

}  // namespace cairn::coord
