#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/map_table.hpp"
#include "base/slice_access.hpp"
#include "cairn/error.hpp"
#include "cairn/state.hpp"
#include "coord/capture.hpp"
#include "coord/comm.hpp"
#include "coord/map_feed.hpp"
#include "coord/save_engine.hpp"
#include "coord/target.hpp"
#include "plan/routes.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// The MapParameters of one save, as tensors like all others: datasets of as many entries as there
/// are. Where one file is written by several ranks, each of them could fill any block of these, since
/// a `MapFeed` brings it what others hold: so every rank claims all of them, as replicas, and the plan
/// makes each block's owner its source. It is fed by windows: all ranks fetch what the next few
/// rounds of their blocks need, then the engine moves these rounds. Elsewhere a rank reads its own
/// entries, in their order, when their turn comes.
///
/// A save of a series of increments freezes the marks of change when it begins. They are committed by
/// `commit`, or given back when this goes. Until then it keeps the tables, whatever becomes of the
/// MapParameters.
class MapSave {
 public:
  /// Collective. `incremental`: the save belongs to such a series; `record.chain` then says which
  /// increment it should be, and is cleared where the tables do not know what changed since. What
  /// the record says of maps is filled in. Throws the same `invalid_argument` everywhere where the
  /// ranks' maps differ.
  MapSave(const Comm& comm, const State& state, SaveKind kind, bool incremental,
          storage::Record& record);
  MapSave(const MapSave&) = delete;
  MapSave& operator=(const MapSave&) = delete;
  ~MapSave() = default;

  /// The state with the maps as entries, behind all others.
  [[nodiscard]] const State& entries() const noexcept { return with_maps_ ? *with_maps_ : state_; }
  /// How many there are of the others.
  [[nodiscard]] std::size_t plain_entries() const noexcept { return plain_entries_; }
  /// Whether ranks exchange entries.
  [[nodiscard]] bool exchanges() const noexcept { return feed_ != nullptr; }

  /// Throws `invalid_argument` on all ranks where they would exchange entries; `what` cannot.
  void refuse_exchange(const std::string& what) const;

  /// Collective. All that `engine.run` does, and what it returns.
  std::optional<Error> move(SaveEngine& engine, const plan::Routes& routes);
  /// Local, or collective where `exchanges`. All that `capture.take` does.
  void capture(Capture& capture, std::span<const SliceAccess> slices, const plan::Routes& routes);

  /// Local. The save is committed, as the record had it at the begin. Lets go of the tables.
  void commit() noexcept;

 private:
  class LocalFeed;
  /// A table; what is frozen of it, and not committed, is given back when this goes.
  class Held {
   public:
    explicit Held(std::shared_ptr<MapTable> table) : table_(std::move(table)) {}
    Held(Held&& other) noexcept = default;
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (table_ && is_frozen_) table_->abandon();
    }

    [[nodiscard]] const MapTable& table() const noexcept { return *table_; }
    void freeze() {
      table_->freeze();
      is_frozen_ = true;
    }
    /// What the table's marks count since when it is committed.
    void expect(const MapTable::Since& since) noexcept { since_ = since; }
    void commit() noexcept {
      if (!std::exchange(is_frozen_, false)) return;
      table_->commit();
      table_->set_since(since_);
    }

   private:
    std::shared_ptr<MapTable> table_;
    MapTable::Since since_{};
    bool is_frozen_ = false;
  };
  /// What an entry behind the plain ones is about.
  struct Piece {
    std::uint32_t map;
    MapPart part;
    std::size_t entry_bytes;
  };
  /// Rounds whose blocks need entries, the same on all ranks.
  struct Window {
    std::size_t first;
    std::size_t last;
  };

  /// Where this rank's entries of a map lie among all.
  struct OwnPlace {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };

  void freeze();
  void decide(storage::Record& record) const;
  void expect_commit(const storage::Record& record);
  void count(MapOrder::Which which);
  void leave_out_moved();
  void tell(storage::Record& record) const;
  void add_entries(SaveKind kind);
  [[nodiscard]] std::vector<OwnPlace> own_places() const;
  void add_part(std::uint32_t map, MapPart part, Slice slice);
  void add_default_row(std::uint32_t map);
  [[nodiscard]] std::vector<Window> windows(const plan::Routes& routes) const;
  [[nodiscard]] std::vector<MapFeed::Need> needs(const plan::Routes& routes,
                                                 const Window& window) const;
  void need_piece(const plan::Holding& holding, std::uint64_t block, std::uint64_t block_bytes,
                  std::vector<MapFeed::Need>& needs) const;
  std::optional<Error> fetch(const plan::Routes& routes, const Window& window);

  const Comm& comm_;
  const State& state_;
  std::size_t plain_entries_;
  std::vector<State::Map> sorted_;  ///< by name; the maps themselves may go when this is made
  std::vector<Held> held_;          ///< the tables of these
  std::vector<std::vector<std::int64_t>> erased_;  ///< of each, the keys that an increment says are
  std::vector<FedMap> maps_;
  std::optional<State> with_maps_;
  std::vector<Piece> pieces_;  ///< of the entries behind the plain ones
  std::unique_ptr<MapFeed> feed_;
  std::shared_ptr<LocalFeed> local_;
};

}  // namespace cairn::coord
