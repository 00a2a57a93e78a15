// A load, a save backwards:
//
//   structure is read and checked, of shards by all ranks  → what is stored where, on all ranks
//   every rank looks its tensors up; all judge together    → one error that lists all, or a match
//   every rank marks the blocks it needs                   → each block gets one reader
//   readers learn what others want of their blocks         → routes
//   blocks are read once; pieces go to those who want them
//
// Up to the last line nothing of `state` is touched, and errors say so.
#include "coord/loader.hpp"

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/append_entries.hpp"
#include "base/slice_access.hpp"
#include "coord/block_check.hpp"
#include "coord/load_engine.hpp"
#include "coord/load_steps.hpp"
#include "coord/match.hpp"
#include "coord/save_plan.hpp"
#include "coord/staging.hpp"
#include "coord/stored.hpp"
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
    with_state_unchanged([&] {
      open();
      run_together(comm_, [&] { claims_ = claims_to_fill(wanted_); });
    });
    match_ = with_state_unchanged(
        [&] { return match(comm_, claims_, stored_.tensors, options_, path_.string()); });
    asked_ = claims_.size();
    if (comm_.rank() == 0) want_plain_values();
    with_state_unchanged([&] { plan(); });
    move();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return report(passed.count());
  }

 private:
  void open() {
    stored_ = open_stored(comm_, path_, {options_.enc_key, options_.enc_mode, options_.crc_check,
                                         options_.accept_unmarked_breakpoint});
    path_ = stored_.path;
    files_.emplace(stored_.files);
    check_.emplace(stored_, options_.enc_key);
  }

  /// Rank 0 reads the plain values of append_info for all.
  void want_plain_values() {
    for (std::size_t t = 0; t < stored_.tensors.size(); ++t) {
      const TensorInfo& tensor = stored_.tensors[t];
      if (tensor.family != Family::append_info || !is_plain(tensor)) continue;
      const std::uint64_t count = element_count(tensor.shape) * size_of(tensor.dtype);
      Bytes& bytes = plain_values_.emplace_back(count);
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
    for (const Bytes& bytes : plain_values_) writer.put_all(std::span<const std::byte>(bytes));
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

  /// The parts of slices that lie in one stored piece, and who reads which of their blocks.
  void plan() {
    std::vector<std::uint64_t> wanted(stored_.block_count, 0);  // bytes of each block
    std::vector<plan::Holding> holdings;
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      if (!match_.places[i] || is_empty(claims_[i].box)) continue;
      for (const StoredPiece& piece : stored_.pieces[*match_.places[i]]) {
        if (auto common = intersection(claims_[i].box, piece.box)) {
          holdings.push_back(hold(i, *common, piece, wanted));
        }
      }
    }
    const auto ownership = assign_readers(wanted);
    routes_ = agree_on_routes(comm_, ownership, std::move(holdings));
  }

  /// What this rank takes of one piece for its i-th claim; `fillers_` learns where it goes.
  plan::Holding hold(std::size_t i, const Box& box, const StoredPiece& piece,
                     std::vector<std::uint64_t>& wanted) {
    const TensorInfo& tensor = stored_.tensors[*match_.places[i]];
    Slice in_piece{piece.box.extent, box.offset, box.extent};
    for (std::size_t d = 0; d < box.offset.size(); ++d) in_piece.offset[d] -= piece.box.offset[d];
    plan::Holding holding{static_cast<std::uint32_t>(fillers_.size()),
                          image_place(in_piece, size_of(tensor.dtype), piece.place),
                          {}};
    fillers_.emplace_back(wanted_.entries()[i], box, tensor.dtype, options_.allow_overflow);
    for_each_block(holding.image, stored_.block_bytes,
                   [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                     plan::append_block(holding.blocks, block);
                     wanted[block] += last - first;
                   });
    return holding;
  }

  /// Blocks have homes too, a range each: there it is known who wants a block how much.
  plan::Ownership assign_readers(const std::vector<std::uint64_t>& wanted) {
    const auto ranks = static_cast<std::uint64_t>(comm_.size());
    std::vector<WireWriter> writers(ranks);
    for (std::uint64_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == 0) continue;
      writers[i * ranks / wanted.size()].put(
          plan::Candidate{i, comm_.rank(), wanted[i]});
    }
    std::vector<Bytes> to;
    for (WireWriter& writer : writers) to.push_back(writer.take());
    std::vector<plan::Candidate> candidates;
    for (const Bytes& bytes : comm_.exchange(std::move(to))) {
      for (WireReader reader(bytes); !reader.done();) {
        candidates.push_back(reader.get<plan::Candidate>());
      }
    }
    std::vector<std::uint8_t> is_needed(wanted.size());
    std::ranges::transform(wanted, is_needed.begin(),
                           [](std::uint64_t n) { return std::uint8_t{n > 0}; });
    comm_.allreduce(std::span<std::uint8_t>(is_needed), MPI_MAX);
    std::vector<std::uint64_t> blocks;
    for (std::uint64_t i = 0; i < is_needed.size(); ++i) {
      if (is_needed[i] != 0) blocks.push_back(i);
    }
    return agree_on_owners(comm_, plan::best_candidates(std::move(candidates)), blocks,
                           stored_.block_bytes, 0, wanted.size());
  }

  void open_files() {
    bool direct = false;
    run_together(comm_, [&] {
      for (const plan::OwnedBlock& owned : routes_.blocks) {
        files_->open(owned.block * stored_.block_bytes);
        check_->prepare(owned.block * stored_.block_bytes);
      }
      direct = files_->set_direct(true);
    });
    direct_ = all_of<std::int32_t>(comm_, direct ? 1 : 0, MPI_MIN) == 1;
    run_together(comm_, [&] {
      if (!direct_) files_->set_direct(false);
    });
  }

  void move() {
    std::unique_ptr<Staging> staging;
    std::unique_ptr<storage::BlockIo> io;  // goes first: its threads use the staging
    with_state_unchanged([&] {
      open_files();
      run_together(comm_, [&] {
        staging = std::make_unique<Staging>(stored_.block_bytes, options_.staging_bytes);
        io = std::make_unique<storage::BlockIo>(storage::BlockIo::Direction::read, &*check_);
      });
    });
    staged_ = staging->bytes();
    try {
      auto outcome = LoadEngine(comm_, routes_, fillers_, *files_, *io, *staging).run();
      settle(comm_, outcome.reading);
      settle(comm_, outcome.filling);
      appended_ = appended();
    } catch (const Error& error) {
      // What a rank that did not answer may still write into is left alone for ever.
      if (error.code() == ErrorCode::unresponsive) static_cast<void>(staging.release());
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
    report.bytes_read = all_of<std::uint64_t>(
        comm_, routes_.blocks.size() * stored_.block_bytes, MPI_SUM);
    report.staged_peak = all_of<std::uint64_t>(comm_, staged_, MPI_MAX);
    WireWriter writer;
    writer.put(seconds);
    const Bytes told = comm_.broadcast(writer.take());
    report.seconds = WireReader(told).get<double>();
    report.direct_io = direct_;
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
  Stored stored_;
  std::optional<storage::BlockFiles> files_;
  std::optional<BlockCheck> check_;
  bool direct_ = false;
  std::vector<plan::Claim> claims_;
  std::size_t asked_ = 0;             ///< claims that the caller asked for
  Match match_;
  std::deque<Bytes> plain_values_;    ///< of append_info, in the order of the stored; on rank 0
  AppendedInfo appended_;
  std::vector<SliceFiller> fillers_;  ///< of each holding
  plan::Routes routes_;
  std::uint64_t staged_ = 0;
};

}  // namespace

LoadReport load_checkpoint(const Comm& comm, const std::filesystem::path& path, State& state,
                      const LoadOptions& options) {
  return Load(comm, path, state, options).run();
}

}  // namespace cairn::coord
