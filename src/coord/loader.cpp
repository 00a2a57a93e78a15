// A load, a save backwards:
//
//   rank 0 reads and checks record, head and tail          → an index, broadcast
//   every rank looks its tensors up; all judge together    → one error that lists all, or a match
//   every rank marks the blocks it needs                   → each block gets one reader
//   readers learn what others want of their blocks         → routes
//   blocks are read once; pieces go to those who want them
//
// Up to the last line nothing of `state` is touched, and errors say so.
#include "coord/loader.hpp"

#include <algorithm>
#include <numeric>

#include "base/slice_access.hpp"
#include "coord/load_engine.hpp"
#include "coord/load_steps.hpp"
#include "coord/match.hpp"
#include "coord/save_plan.hpp"
#include "coord/staging.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

void put_index(WireWriter& writer, const storage::ImageIndex& index) {
  const storage::Record& record = index.record;
  writer.put(record.block_bytes)
      .put(record.head_bytes)
      .put(record.tail_offset)
      .put(record.step)
      .put(record.epoch)
      .put(record.sequence)
      .put(record.saved_at)
      .put_text(record.series);
  for (const PlacedTensor& tensor : index.tensors) {
    plan::put_tensor(writer, tensor);
    writer.put(tensor.offset);
  }
}

storage::ImageIndex get_index(const Bytes& bytes) {
  storage::ImageIndex index;
  WireReader reader(bytes);
  index.record.block_bytes = reader.get<std::uint64_t>();
  index.record.head_bytes = reader.get<std::uint64_t>();
  index.record.tail_offset = reader.get<std::uint64_t>();
  index.record.step = reader.get<std::uint64_t>();
  index.record.epoch = reader.get<std::uint64_t>();
  index.record.sequence = reader.get<std::uint64_t>();
  index.record.saved_at = reader.get<Time>();
  index.record.series = reader.get_text();
  while (!reader.done()) {
    PlacedTensor tensor;
    static_cast<TensorInfo&>(tensor) = plan::get_tensor(reader);
    tensor.offset = reader.get<std::uint64_t>();
    index.tensors.push_back(std::move(tensor));
  }
  return index;
}

class Load {
 public:
  Load(const Comm& comm, const std::filesystem::path& path, State& state,
       const LoadOptions& options)
      : comm_(comm), path_(path), state_(state), options_(options) {}

  LoadReport run() {
    const auto begin = std::chrono::steady_clock::now();
    with_state_unchanged([&] {
      open();
      run_together(comm_, [&] { claims_ = claims_to_fill(state_); });
    });
    match_ = with_state_unchanged(
        [&] { return match(comm_, claims_, index_.tensors, options_, path_.string()); });
    plan();
    move();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return report(passed.count());
  }

 private:
  void open() {
    WireWriter writer;
    run_on_root(comm_, [&] {
      file_ = storage::PosixFile::open_for_reading(path_);
      const storage::ImageIndex index = storage::read_index(*file_);
      writer.put_text(path_.string());
      WireWriter rest;
      put_index(rest, index);
      writer.put_all(std::span<const std::byte>(rest.take()));
    });
    const Bytes told = comm_.broadcast(writer.take());
    WireReader reader(told);
    path_ = reader.get_text();
    index_ = get_index(reader.get_all<std::byte>());
    bool direct = false;
    run_together(comm_, [&] {
      if (!file_) file_ = storage::PosixFile::open_for_reading(path_);
      direct = file_->set_direct(true);
    });
    direct_ = all_of<std::int32_t>(comm_, direct ? 1 : 0, MPI_MIN) == 1;
    if (direct && !direct_) file_->set_direct(false);
  }

  /// The blocks of the body, and who reads which of those that anybody needs.
  void plan() {
    const std::uint64_t block_bytes = index_.record.block_bytes;
    const std::uint64_t first_block = index_.record.head_bytes / block_bytes;
    const std::uint64_t block_count = index_.record.tail_offset / block_bytes - first_block;
    std::vector<std::uint64_t> wanted(block_count, 0);  // bytes of each block
    std::vector<plan::Holding> holdings;
    for (std::uint32_t i = 0; i < claims_.size(); ++i) {
      const plan::Claim& claim = claims_[i];
      if (!match_.places[i] || element_count(claim.box.extent) == 0) continue;
      const PlacedTensor& stored = index_.tensors[*match_.places[i]];
      plan::Holding holding{i,
                            image_place({claim.tensor.shape, claim.box.offset, claim.box.extent},
                                        size_of(stored.dtype), stored.offset),
                            {}};
      for_each_block(holding.image, block_bytes,
                     [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                       plan::append_block(holding.blocks, block);
                       wanted[block - first_block] += last - first;
                     });
      holdings.push_back(std::move(holding));
    }
    const auto ownership = assign_readers(wanted, first_block, block_bytes);
    routes_ = agree_on_routes(comm_, ownership, std::move(holdings));
  }

  /// Blocks have homes too, a range each: there it is known who wants a block how much.
  plan::Ownership assign_readers(const std::vector<std::uint64_t>& wanted,
                                 std::uint64_t first_block, std::uint64_t block_bytes) {
    const auto ranks = static_cast<std::uint64_t>(comm_.size());
    std::vector<WireWriter> writers(ranks);
    for (std::uint64_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == 0) continue;
      writers[i * ranks / wanted.size()].put(
          plan::Candidate{first_block + i, comm_.rank(), wanted[i]});
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
      if (is_needed[i] != 0) blocks.push_back(first_block + i);
    }
    return agree_on_owners(comm_, plan::best_candidates(std::move(candidates)), blocks,
                           block_bytes, first_block, wanted.size());
  }

  void move() {
    std::vector<SliceFiller> slices;
    slices.reserve(state_.entries().size());
    for (std::size_t i = 0; i < state_.entries().size(); ++i) {
      const State::Entry& entry = state_.entries()[i];
      const auto place = match_.places[i];
      slices.emplace_back(entry, place ? index_.tensors[*place].dtype : entry.source.dtype(),
                          options_.allow_overflow);
    }
    std::unique_ptr<Staging> staging;
    with_state_unchanged([&] {
      run_together(comm_, [&] {
        staging =
            std::make_unique<Staging>(index_.record.block_bytes, options_.staging_bytes);
      });
    });
    staged_ = staging->bytes();
    try {
      settle(comm_, LoadEngine(comm_, routes_, slices, *file_, *staging).run());
    } catch (const Error& error) {
      // What a rank that did not answer may still write into is left alone for ever.
      if (error.code() == ErrorCode::unresponsive) static_cast<void>(staging.release());
      throw Error(error.code(), std::string(error.what()) + " (the state's contents are unspecified)",
                  error.rank());
    }
  }

  LoadReport report(double seconds) {
    LoadReport report;
    report_match(comm_, claims_, index_.tensors, match_, report);
    report.path = path_;
    report.step = index_.record.step;
    report.epoch = index_.record.epoch;
    report.sequence = index_.record.sequence;
    report.saved_at = index_.record.saved_at;
    report.series = index_.record.series;
    report.bytes_read = all_of<std::uint64_t>(
        comm_, routes_.blocks.size() * index_.record.block_bytes, MPI_SUM);
    report.staged_peak = all_of<std::uint64_t>(comm_, staged_, MPI_MAX);
    WireWriter writer;
    writer.put(seconds);
    const Bytes told = comm_.broadcast(writer.take());
    report.seconds = WireReader(told).get<double>();
    report.direct_io = direct_;
    return report;
  }

  const Comm& comm_;
  std::filesystem::path path_;
  State& state_;
  const LoadOptions& options_;
  std::optional<storage::PosixFile> file_;
  storage::ImageIndex index_;
  bool direct_ = false;
  std::vector<plan::Claim> claims_;
  Match match_;
  plan::Routes routes_;
  std::uint64_t staged_ = 0;
};

}  // namespace

LoadReport load_image(const Comm& comm, const std::filesystem::path& path, State& state,
                      const LoadOptions& options) {
  return Load(comm, path, state, options).run();
}

}  // namespace cairn::coord
