// A load from an HDF5 file of others:
//
//   rank 0 walks the file alone                          → an index, broadcast
//   every rank looks its tensors up; all judge together  → one error that lists all, or a match
//   every rank reads its own boxes through HDF5, tile by tile, for a while; then all hear whether
//   anybody failed or still has something to read, and go on
//
// No rank ever waits for another inside HDF5 (storage/foreign_file.hpp says why). The votes between
// are for the deadline: a rank with much to decode shows that it lives.
#include "coord/foreign_loader.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include "base/append_entries.hpp"
#include "base/slice_access.hpp"
#include "base/strided.hpp"
#include "coord/load_steps.hpp"
#include "coord/map_set.hpp"
#include "coord/together.hpp"
#include "plan/tiles.hpp"
#include "storage/foreign_file.hpp"

namespace cairn::coord {
namespace {

using Clock = std::chrono::steady_clock;

/// Well below the 2 GiB that one independent read of HDF5 1.10's MPI-IO driver cannot exceed.
constexpr std::size_t kLargestTile = std::size_t{1} << 30;
constexpr std::size_t kSmallestTile = std::size_t{64} << 10;

void put_index(WireWriter& writer, const storage::ForeignIndex& index) {
  writer.put(index.largest_chunk).put<std::uint64_t>(index.tensors.size());
  for (const PlacedTensor& tensor : index.tensors) {
    plan::put_tensor(writer, tensor);
    writer.put(tensor.offset);
  }
  for (const storage::NoTensor& other : index.others) {
    writer.put_text(other.name).put_text(other.why);
  }
}

storage::ForeignIndex get_index(WireReader& reader) {
  storage::ForeignIndex index;
  index.largest_chunk = reader.get<std::uint64_t>();
  index.tensors.resize(reader.get<std::uint64_t>());
  for (PlacedTensor& tensor : index.tensors) {
    static_cast<TensorInfo&>(tensor) = plan::get_tensor(reader);
    tensor.offset = reader.get<std::uint64_t>();
  }
  while (!reader.done()) {
    storage::NoTensor& other = index.others.emplace_back();
    other.name = reader.get_text();
    other.why = reader.get_text();
  }
  return index;
}

/// One box of the state on its way in.
struct Job {
  const plan::Claim* claim;
  const PlacedTensor* stored;
  SliceFiller filler;
};

/// Reads this rank's boxes one after the other, one tile at a time. Local.
class TileReader {
 public:
  TileReader(storage::ForeignFile& file, std::vector<Job> jobs, std::size_t staging_bytes)
      : file_(file),
        jobs_(std::move(jobs)),
        tile_bytes_(std::clamp(staging_bytes, kSmallestTile, kLargestTile)) {}

  /// Reads the next tile; false where there was none left.
  bool step();
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] std::uint64_t bytes_staged() const noexcept { return packed_.size(); }

 private:
  void read(Job& job, const Box& tile);
  static void unpack(Job& job, const Strided& local, const std::byte* packed);

  storage::ForeignFile& file_;
  std::vector<Job> jobs_;
  std::size_t tile_bytes_;
  std::size_t next_job_ = 0;
  std::optional<plan::Tiles> tiles_;  ///< of the job before `next_job_`
  Bytes packed_;
  std::uint64_t bytes_read_ = 0;
};

bool TileReader::step() {
  while (true) {
    if (tiles_) {
      if (const auto tile = tiles_->next()) {
        read(jobs_[next_job_ - 1], *tile);
        return true;
      }
    }
    if (next_job_ == jobs_.size()) return false;
    const Job& job = jobs_[next_job_++];
    file_.open(*job.stored);
    tiles_.emplace(job.claim->box, file_.chunk(), tile_bytes_ / size_of(job.stored->dtype));
  }
}

void TileReader::read(Job& job, const Box& tile) {
  // The tile among the local bytes of its box.
  Slice part{job.claim->box.extent, tile.offset, tile.extent};
  for (std::size_t d = 0; d < part.offset.size(); ++d) part.offset[d] -= job.claim->box.offset[d];
  const Strided local = image_place(part, size_of(job.stored->dtype), 0);
  const std::uint64_t bytes = local.bytes();
  bytes_read_ += bytes;
  if (const auto at = single_run(local, 0, bytes)) {
    const auto first = static_cast<std::uint64_t>(*at);
    if (std::byte* const in_place = job.filler.in_place(first, first + bytes)) {
      file_.read(tile.offset, tile.extent, in_place);
      return;
    }
  }
  if (packed_.size() < bytes) packed_.resize(bytes);
  file_.read(tile.offset, tile.extent, packed_.data());
  unpack(job, local, packed_.data());
}

void TileReader::unpack(Job& job, const Strided& local, const std::byte* packed) {
  RunCursor cursor(local, 0);
  for (std::uint64_t left = local.bytes(); left > 0;) {
    const std::uint64_t n = std::min(left, cursor.left());
    const auto first = static_cast<std::uint64_t>(cursor.position());
    job.filler.write(first, first + n, packed);
    packed += n;
    left -= n;
    cursor.advance(n);
  }
}

class ForeignLoad {
 public:
  ForeignLoad(const Comm& comm, const std::filesystem::path& path, State& state,
              const LoadOptions& options)
      : comm_(comm), path_(path), wanted_(state), options_(options) {
    add_entries_to_fill(wanted_, options.append_info);
  }

  LoadReport run() {
    const auto begin = Clock::now();
    with_state_unchanged([&] {
      share_index();
      const std::vector<State::Map> maps = same_maps(comm_, wanted_);
      run_together(comm_, [&] {
        claims_ = claims_to_fill(wanted_);
        refuse_what_is_no_tensor();
        for (const State::Map& map : maps) add_map_claims(map, 0, claims_);  // which are not there
      });
      match_ = match(comm_, claims_, tensors_, options_, path_.string());
      run_together(comm_, [&] { file_.emplace(path_, index_.largest_chunk, MPI_COMM_SELF); });
    });
    try {
      fill();
    } catch (const Error& error) {
      throw Error(error.code(),
                  std::string(error.what()) + " (the state's contents are unspecified)",
                  error.rank());
    }
    return report(std::chrono::duration<double>(Clock::now() - begin).count());
  }

 private:
  void share_index() {
    WireWriter writer;
    run_on_root(comm_, [&] {
      writer.put_text(path_.string());
      put_index(writer, storage::read_foreign_index(path_));
    });
    const Bytes told = comm_.broadcast(writer.take());
    WireReader reader(told);
    path_ = reader.get_text();
    index_ = get_index(reader);
    tensors_.assign(index_.tensors.begin(), index_.tensors.end());
  }

  void refuse_what_is_no_tensor() const {
    for (const plan::Claim& claim : claims_) {
      const auto name = name_in_file(claim.tensor.name, options_);
      if (!name) continue;
      const auto at = std::ranges::lower_bound(index_.others, *name, {}, &storage::NoTensor::name);
      if (at == index_.others.end() || at->name != *name) continue;
      throw Error(ErrorCode::mismatch, "tensor \"" + claim.tensor.name + "\": '" + *name + "' in " +
                                           path_.string() + " " + at->why);
    }
  }

  [[nodiscard]] std::vector<Job> jobs() const {
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      if (!match_.places[i] || element_count(claims_[i].box.extent) == 0) continue;
      const PlacedTensor& stored = index_.tensors[*match_.places[i]];
      jobs.push_back({&claims_[i], &stored,
                      SliceFiller(wanted_.entries()[i], claims_[i].box, stored.dtype,
                                  options_.allow_overflow)});
    }
    return jobs;
  }

  /// Local. False where there is nothing left. Errors name the file.
  bool read_for_a_while(TileReader& reader) const {
    try {
      const auto since = Clock::now();
      while (Clock::now() - since < between_votes()) {
        if (!reader.step()) return false;
      }
      return true;
    } catch (const Error& error) {
      throw Error(error.code(), path_.string() + ": " + error.what());
    }
  }

  void fill() {
    TileReader reader(*file_, jobs(), options_.staging_bytes);
    for (bool anybody_has_more = true; anybody_has_more;) {
      bool more = true;
      run_together(comm_, [&] { more = read_for_a_while(reader); });
      anybody_has_more = all_of<std::int32_t>(comm_, more ? 1 : 0, MPI_MAX) == 1;
    }
    bytes_read_ = reader.bytes_read();
    bytes_staged_ = reader.bytes_staged();
  }

  /// Seldom enough to cost nothing, often enough for any deadline.
  [[nodiscard]] std::chrono::duration<double> between_votes() const {
    return std::min<std::chrono::duration<double>>(std::chrono::seconds(5),
                                                   options_.deadline / 10.0);
  }

  LoadReport report(double seconds) const {
    LoadReport report;
    report.path = path_;
    report.foreign = true;
    report_match(comm_, claims_, tensors_, match_, report);
    report.bytes_read = all_of<std::uint64_t>(comm_, bytes_read_, MPI_SUM);
    report.staged_peak = all_of<std::uint64_t>(comm_, bytes_staged_, MPI_MAX);
    WireWriter writer;
    writer.put(seconds);
    const Bytes told = comm_.broadcast(writer.take());
    report.seconds = WireReader(told).get<double>();
    return report;
  }

  const Comm& comm_;
  std::filesystem::path path_;
  State wanted_;  ///< the state, and what of append_info is to be filled
  const LoadOptions& options_;
  storage::ForeignIndex index_;
  std::vector<TensorInfo> tensors_;  ///< of the index, without their addresses
  std::vector<plan::Claim> claims_;
  Match match_;
  std::optional<storage::ForeignFile> file_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_staged_ = 0;
};

}  // namespace

bool is_foreign(const Comm& comm, const std::filesystem::path& path) {
  bool foreign = false;
  with_state_unchanged([&] { run_on_root(comm, [&] { foreign = storage::is_foreign(path); }); });
  return all_of<std::int32_t>(comm, foreign ? 1 : 0, MPI_MAX) == 1;
}

LoadReport load_foreign(const Comm& comm, const std::filesystem::path& path, State& state,
                        const LoadOptions& options) {
  return ForeignLoad(comm, path, state, options).run();
}

}  // namespace cairn::coord
