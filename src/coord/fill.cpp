#include "coord/fill.hpp"

#include <algorithm>
#include <utility>

#include "coord/forsake.hpp"
#include "coord/load_engine.hpp"
#include "coord/save_plan.hpp"
#include "coord/together.hpp"

namespace cairn::coord {

Fill::Fill(const Comm& comm, const Stored& stored, const LoadOptions& options)
    : comm_(comm),
      stored_(stored),
      options_(options),
      files_(stored.files),
      check_(stored, options.enc_key) {}

/// The parts of slices that lie in one stored piece, and who reads which of their blocks.
void Fill::plan(const State& state, std::span<const plan::Claim> claims,
                std::span<const std::optional<std::size_t>> places) {
  fillers_.clear();
  std::vector<std::uint64_t> wanted(stored_.block_count, 0);  // bytes of each block
  std::vector<plan::Holding> holdings;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (!places[i] || is_empty(claims[i].box)) continue;
    for (const StoredPiece& piece : stored_.pieces[*places[i]]) {
      if (auto common = intersection(claims[i].box, piece.box)) {
        holdings.push_back(hold(state.entries()[i], *common, *places[i], piece, wanted));
      }
    }
  }
  const auto ownership = assign_readers(wanted);
  routes_ = agree_on_routes(comm_, ownership, std::move(holdings));
}

/// What this rank takes of one piece; `fillers_` learns where it goes.
plan::Holding Fill::hold(const State::Entry& entry, const Box& box, std::size_t tensor,
                         const StoredPiece& piece, std::vector<std::uint64_t>& wanted) {
  const DType dtype = stored_.tensors[tensor].dtype;
  Slice in_piece{piece.box.extent, box.offset, box.extent};
  for (std::size_t d = 0; d < box.offset.size(); ++d) in_piece.offset[d] -= piece.box.offset[d];
  plan::Holding holding{static_cast<std::uint32_t>(fillers_.size()),
                        image_place(in_piece, size_of(dtype), piece.place),
                        {}};
  fillers_.emplace_back(entry, box, dtype, options_.allow_overflow);
  for_each_block(holding.image, stored_.block_bytes,
                 [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                   plan::append_block(holding.blocks, block);
                   wanted[block] += last - first;
                 });
  return holding;
}

/// Blocks have homes too, a range each: there it is known who wants a block how much.
plan::Ownership Fill::assign_readers(const std::vector<std::uint64_t>& wanted) const {
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  std::vector<WireWriter> writers(ranks);
  for (std::uint64_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0) continue;
    writers[i * ranks / wanted.size()].put(plan::Candidate{i, comm_.rank(), wanted[i]});
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

void Fill::open_files() {
  bool direct = false;
  run_together(comm_, [&] {
    for (const plan::OwnedBlock& owned : routes_.blocks) {
      files_.open(owned.block * stored_.block_bytes);
      check_.prepare(owned.block * stored_.block_bytes);
    }
    direct = files_.set_direct(true);
  });
  direct_ = all_of<std::int32_t>(comm_, direct ? 1 : 0, MPI_MIN) == 1;
  run_together(comm_, [&] {
    if (!direct_) files_.set_direct(false);
  });
}

void Fill::open() {
  open_files();
  if (io_) return;
  run_together(comm_, [&] {
    staging_ = std::make_unique<Staging>(stored_.block_bytes, options_.staging_bytes);
    io_ = std::make_unique<storage::BlockIo>(storage::BlockIo::Direction::read, &check_);
  });
}

void Fill::move() {
  try {
    auto outcome = LoadEngine(comm_, routes_, fillers_, files_, *io_, *staging_).run();
    blocks_read_ += routes_.blocks.size();
    settle(comm_, outcome.reading);
    settle(comm_, outcome.filling);
  } catch (...) {
    // What MPI may still write into is left alone for ever.
    if (comm_.is_broken()) forsake(std::move(staging_));
    throw;
  }
}

}  // namespace cairn::coord
