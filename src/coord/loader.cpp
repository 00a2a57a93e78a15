// A load, a save backwards:
//
//   structure is read and checked, of shards by all ranks  → what is stored where, on all ranks
//   every rank looks its tensors up; all judge together    → one error that lists all, or a match
//   every rank marks the blocks it needs                   → each block gets one reader
//   readers learn what others want of their blocks         → routes
//   blocks are read once; pieces go to those who want them
//   MapParameters: what increments go back to, one after the other; entries go to their owners
//
// Up to the last two lines nothing of `state` is touched, and errors say so.
#include "coord/loader.hpp"

#include <algorithm>
#include <chrono>
#include <deque>

#include "base/append_entries.hpp"
#include "base/map_access.hpp"
#include "base/map_datasets.hpp"
#include "codec/sha256.hpp"
#include "coord/chain.hpp"
#include "coord/fill.hpp"
#include "coord/lent.hpp"
#include "coord/load_steps.hpp"
#include "coord/map_load.hpp"
#include "coord/map_set.hpp"
#include "coord/match.hpp"
#include "coord/step_vote.hpp"
#include "coord/stored.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"
#include "policy/names.hpp"
#include "storage/directory.hpp"

namespace cairn::coord {
namespace {

class Load {
 public:
  Load(const Comm& comm, const std::filesystem::path& path, State& state,
       const LoadOptions& options)
      : comm_(comm), path_(path), wanted_(state), options_(options) {
    add_entries_to_fill(wanted_, options.append_info);
  }

  LoadReport run() {
    const auto begin = std::chrono::steady_clock::now();
    enter(Phase::planning);
    with_state_unchanged([&] {
      check_maps();
      open();
      run_together(comm_, [&] {
        claims_ = claims_to_fill(wanted_);
        asked_ = claims_.size();
        look_for_maps();
      });
    });
    match_ = with_state_unchanged(
        [&] { return match(comm_, claims_, stored_.tensors, options_, path_.string()); });
    with_state_unchanged([&] {
      keep_matching_maps();
      prepare_maps();
      if (comm_.rank() == 0) want_plain_values();
      fill_->plan(wanted_, claims_, match_.places);
    });
    enter(Phase::moving);
    move();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return report(passed.count());
  }

 private:
  void enter(Phase phase) {
    Event event{.path = path_, .step = stored_.identity.step,
                .sequence = stored_.identity.sequence, .rank = comm_.rank()};
    tell(options_.listener, [&](Listener& it) { it.phase(event, phase); });
  }

  void open() {
    stored_ = open_stored(comm_, path_, {options_.enc_key, options_.enc_mode, options_.crc_check,
                                         options_.accept_unmarked_breakpoint});
    path_ = stored_.path;
    run_together(comm_, [&] { fill_.emplace(comm_, stored_, options_); });
  }

  /// Collective. All ranks fill the same maps, in one order.
  void check_maps() {
    wanted_maps_ = same_maps(comm_, wanted_);
    run_together(comm_, [&] {
      for (const State::Map& map : wanted_maps_) {
        if (!MapAccess::table(*map.map).in_flight()) continue;
        throw Error(ErrorCode::invalid_argument,
                    label(Family::map_parameter, map.name) +
                        " is given to a load while a save of it is under way");
      }
    });
  }

  /// Rank 0 reads the plain values of append_info for all.
  void want_plain_values() {
    for (std::size_t t = 0; t < stored_.tensors.size(); ++t) {
      const TensorInfo& tensor = stored_.tensors[t];
      if (tensor.family != Family::append_info || !is_plain(tensor)) continue;
      const std::uint64_t count = element_count(tensor.shape) * size_of(tensor.dtype);
      Bytes& bytes = plain_values_->emplace_back(count);
      StateExtension::add(wanted_, {.name = tensor.name,
                                    .slice = whole(tensor.shape),
                                    .source = Source::memory(tensor.dtype, bytes.data()),
                                    .given_bytes = std::nullopt,
                                    .family = tensor.family,
                                    .is_text = tensor.is_text});
      claims_.push_back({tensor, {Shape(tensor.shape.size(), 0), tensor.shape}});
      match_.places.emplace_back(t);
    }
  }

  /// Collective. What was appended, from rank 0's bytes; the same on all ranks, or the same error.
  AppendedInfo appended() const {
    const Bytes told = share_plain_values();
    try {
      return decoded(told);
    } catch (const Error& error) {
      throw Error(error.code(), path_.string() + ": " + error.what());
    }
  }

  Bytes share_plain_values() const {
    WireWriter writer;
    for (const Bytes& bytes : *plain_values_) writer.put_all(std::span<const std::byte>(bytes));
    return comm_.broadcast(writer.take());
  }

  AppendedInfo decoded(const Bytes& plain_values) const {
    WireReader reader(plain_values);
    AppendedInfo appended;
    for (const TensorInfo& tensor : stored_.tensors) {
      if (tensor.family != Family::append_info) continue;
      appended.emplace(tensor.name, is_plain(tensor)
                                        ? decode_plain(tensor, reader.get_all<std::byte>())
                                        : AppendedTensor{tensor.dtype, tensor.shape});
    }
    return appended;
  }

  /// The maps that are asked for and are there; of those of the full checkpoint and the increments.
  void look_for_maps() {
    const std::vector<StoredMap> there = maps_in_file(stored_);
    for (const State::Map& map : wanted_maps_) {
      const auto name = name_in_file(map.name, options_);
      const auto found = std::ranges::find_if(
          there, [&](const StoredMap& stored) { return name && stored.name == *name; });
      add_map_claims(map, found == there.end() ? 0 : found->entries, claims_);
      maps_.push_back({name.value_or(map.name), map.map});
    }
  }

  /// Collective. Of the maps, those whose parts all match stay; what they are filled from is found
  /// by name.
  void keep_matching_maps() {
    std::size_t at = asked_;
    std::erase_if(maps_, [&](const MapToLoad&) {
      at += kMapParts;
      const auto own = std::span(match_.places).subspan(at - kMapParts, kMapParts);
      return !std::ranges::all_of(own, [](const auto& place) { return place.has_value(); });
    });
    claims_.resize(asked_);
    match_.places.resize(asked_);
    if (wanted_maps_.empty()) return;
    std::uint64_t digest = 0;
    run_together(comm_, [&] {
      WireWriter writer;
      for (const MapToLoad& map : maps_) writer.put_text(map.stored_name);
      digest = WireReader(codec::sha256(writer.take())).get<std::uint64_t>();
    });
    check_same(comm_, digest, "the MapParameters that a load fills (the filter's choice)");
  }

  /// Collective. Opens what an increment goes back to, and asks for the default rows.
  void prepare_maps() {
    if (maps_.empty()) return;
    chain_ = open_chain(comm_, stored_, {options_.enc_key, options_.enc_mode, options_.crc_check});
    run_together(comm_, [&] {
      for (const Stored& link : chain_) {
        const std::vector<StoredMap> there = maps_in_file(link);
        for (const MapToLoad& map : maps_) static_cast<void>(stored_map(link, there, map));
      }
      const std::vector<StoredMap> there = maps_in_file(stored_);
      for (const MapToLoad& map : maps_) want_default_row(stored_map(stored_, there, map));
    });
  }

  void want_default_row(const StoredMap& map) {
    const std::size_t place = map.place(MapPart::default_row);
    const TensorInfo& row = stored_.tensors[place];
    Bytes& bytes = default_rows_->emplace_back(element_count(row.shape) * size_of(row.dtype));
    StateExtension::add(wanted_, {.name = row.name,
                                  .slice = whole(row.shape),
                                  .source = Source::memory(row.dtype, bytes.data()),
                                  .given_bytes = std::nullopt,
                                  .family = row.family});
    claims_.push_back({row, {Shape(row.shape.size(), 0), row.shape}});
    match_.places.emplace_back(place);
  }

  static std::vector<StoredMap> maps_in_file(const Stored& stored) {
    try {
      return maps_in(stored.tensors);
    } catch (const Error& error) {
      throw Error(error.code(), stored.path.string() + ": " + error.what());
    }
  }

  /// Collective.
  void fill_maps() {
    if (maps_.empty()) return;
    MapLoad load(comm_, maps_);
    load.begin();
    for (const Stored& link : chain_) {
      std::optional<Fill> fill;
      run_together(comm_, [&] { fill.emplace(comm_, link, options_); });
      load.add(link, *fill);
      links_read_ += fill->blocks_read() * link.block_bytes;
    }
    load.add(stored_, *fill_);
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      MapAccess::set_default_row(*maps_[i].map, (*default_rows_)[i]);
    }
    load.finish(stored_);
  }

  void move() {
    with_state_unchanged([&] { fill_->open(); });
    try {
      fill_->move();
      fill_maps();
      appended_ = appended();
    } catch (const Error& error) {
      throw Error(error.code(), std::string(error.what()) + " (the state's contents are unspecified)",
                  error.rank());
    }
  }

  LoadReport report(double seconds) {
    LoadReport report;
    report_match(comm_, std::span(claims_).first(asked_), stored_.tensors, match_, report);
    report.append_info = appended_;
    report.path = path_;
    report.step = stored_.identity.step;
    report.epoch = stored_.identity.epoch;
    report.sequence = stored_.identity.sequence;
    report.saved_at = stored_.identity.saved_at;
    report.series = stored_.identity.series;
    report.increments = stored_.identity.chain.is_increment() ? chain_.size() : 0;
    report.bytes_read = all_of<std::uint64_t>(
        comm_, fill_->blocks_read() * stored_.block_bytes + links_read_, MPI_SUM);
    report.staged_peak = all_of<std::uint64_t>(comm_, fill_->staged(), MPI_MAX);
    WireWriter writer;
    writer.put(seconds);
    const Bytes told = comm_.broadcast(writer.take());
    report.seconds = WireReader(told).get<double>();
    report.direct_io = fill_->direct();
    report.verified = stored_.verified;
    warn_of_name(report);
    return report;
  }

  /// A checkpoint that was renamed is loaded where it is asked for by its path.
  void warn_of_name(LoadReport& report) const {
    const auto name = policy::parse_checkpoint_name(path_.filename().string());
    if (!name || stored_.identity.series.empty()) return;
    const auto told = storage::name_of(stored_.identity, *name);
    if (told == *name) return;
    report.warnings.push_back(path_.string() + " holds the checkpoint " + policy::format(told) +
                              ", not the one it is named for");
  }

  const Comm& comm_;
  std::filesystem::path path_;
  State wanted_;  ///< the state, what of append_info is to be filled, and on rank 0 `plain_values_`
  const LoadOptions& options_;
  std::vector<State::Map> wanted_maps_;  ///< by name, the same on all ranks
  Stored stored_;
  std::optional<Fill> fill_;
  std::vector<plan::Claim> claims_;
  std::size_t asked_ = 0;             ///< claims that the caller asked for
  Match match_;
  /// Of append_info, in the order of the stored; on rank 0.
  Lent<std::deque<Bytes>> plain_values_ = comm_.lend(std::deque<Bytes>());
  AppendedInfo appended_;
  std::vector<MapToLoad> maps_;
  std::vector<Stored> chain_;       ///< what an increment goes back to
  Lent<std::deque<Bytes>> default_rows_ = comm_.lend(std::deque<Bytes>());  ///< a map each
  std::uint64_t links_read_ = 0;    ///< bytes of blocks, on this rank
};

}  // namespace

LoadReport load_checkpoint(const Comm& comm, const std::filesystem::path& path, State& state,
                      const LoadOptions& options) {
  return Load(comm, path, state, options).run();
}

}  // namespace cairn::coord
