#include "async_saver.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "failure.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

template <class Call>
double timed(Call&& call) {
  const auto start = Clock::now();
  call();
  return seconds_since(start);
}

/// Steps between two saves: more than fit between the beginning of one and its commit.
constexpr std::uint64_t kSaveEvery = 1'000'000;
constexpr int kUnitsAlone = 20;

AsyncCost worst(const World& world, const AsyncCost& mine) {
  std::array<double, 4> all{mine.stall, mine.memcpy, mine.total, mine.slowdown};
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_MAX,
                world.comm());
  return {all[0], all[1], all[2], all[3]};
}

}  // namespace

AsyncSaver::CopyOfAShare::CopyOfAShare(const World& world, const cairn::State& state,
                                       std::uint64_t bytes)
    : bytes_(bytes), copy_(map_memory(std::max<std::uint64_t>(bytes, 1), Pages::huge)) {
  if (!world.all(copy_ != nullptr)) throw Failure("there is no memory for a copy of a share");
  for (const auto& entry : state.entries()) {
    std::uint64_t slice = cairn::size_of(entry.source.dtype());
    for (const std::uint64_t extent : entry.slice.extent) slice *= extent;
    if (slice > 0) pieces_.emplace_back(entry.source.data(), slice);
  }
}

double AsyncSaver::CopyOfAShare::run(const World& world) {
  static_cast<void>(world.synchronised_time());
  const auto start = Clock::now();
  std::uint64_t done = 0;
  for (const auto& [data, bytes] : pieces_) {
    const std::uint64_t n = std::min(bytes, bytes_ - done);
    std::memcpy(copy_.get() + done, data, n);
    done += n;
  }
  return seconds_since(start);
}

AsyncSaver::AsyncSaver(const AsyncArguments& arguments, const World& world, cairn::State& state,
                       std::uint64_t slice_bytes, cairn::CheckpointSettings settings)
    : arguments_(arguments),
      world_(world),
      state_(state),
      slice_bytes_(slice_bytes),
      lazy_(settings.lazy_capture) {
  settings.save_checkpoint_steps = static_cast<std::int64_t>(kSaveEvery);
  settings.listener = &commit_;
  checkpoint_.emplace(world.comm(), arguments.prefix, arguments.directory, std::move(settings));
}

AsyncCost AsyncSaver::save_once() {
  const AsyncCost cost = worst(world_, compute_and_save());
  if (!copy_) {
    const auto ranks = static_cast<std::uint64_t>(world_.ranks());
    copy_.emplace(world_, state_, std::min(slice_bytes_, last().value_bytes / ranks));
    copy_->run(world_);  // touches it
  }
  return cost;
}

AsyncCost AsyncSaver::compute_and_save() {
  AsyncCost cost;
  // Training goes on between two saves; the files that the last one replaced go meanwhile.
  const auto since = Clock::now();
  while (number_ > 0 && seconds_since(since) < arguments_.step_seconds) kernel_.run();
  if (copy_) cost.memcpy = copy_->run(world_);
  double alone = 0;
  for (int i = 0; i < kUnitsAlone; ++i) alone += kernel_.run();
  static_cast<void>(world_.synchronised_time());
  std::uint64_t step = ++number_ * kSaveEvery;
  double computing = 0;
  int units = 0;
  const auto before = checkpoint_->latest();
  const auto start = Clock::now();
  cost.stall += timed([&] { static_cast<void>(checkpoint_->step_end(step, state_)); });
  while (checkpoint_->latest() == before) {
    const auto step_start = Clock::now();
    do {
      computing += kernel_.run();
      ++units;
    } while (lazy_ && seconds_since(step_start) < arguments_.step_seconds);
    // As where gradients are summed: what a rank waits for a slower one there is not Cairn's.
    static_cast<void>(world_.synchronised_time());
    cost.stall += timed([&] { checkpoint_->before_update(); });
    cost.stall += timed([&] { static_cast<void>(checkpoint_->step_end(++step, state_)); });
  }
  cost.total = std::chrono::duration<double>(commit_.at() - start).count();
  cost.slowdown = computing / units / (alone / kUnitsAlone);
  return cost;
}

}  // namespace bench
