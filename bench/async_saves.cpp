#include "async_saves.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "busy_kernel.hpp"
#include "failure.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

/// Steps between two saves: more than fit between the beginning of one and its commit.
constexpr std::uint64_t kSaveEvery = 1'000'000;
constexpr int kUnitsAlone = 20;

/// When the save under way was committed, as this rank's listener hears it.
class CommitClock : public cairn::Listener {
 public:
  void committed(const cairn::Event&) override { at_ = Clock::now().time_since_epoch().count(); }
  [[nodiscard]] Clock::time_point at() const { return Clock::time_point(Clock::duration(at_)); }

 private:
  std::atomic<Clock::rep> at_{0};
};

/// One save, as this rank sees it. In seconds.
struct Cost {
  double stall = 0;   ///< in any call of Cairn, from its beginning to its commit
  double memcpy = 0;  ///< of what a rank contributes, all ranks at once
  double total = 0;
  double slowdown = 1;  ///< of the kernel meanwhile
};

/// Copies as much as this rank contributes, into memory that was touched before.
class CopyOfAShare {
 public:
  CopyOfAShare(const cairn::State& state, std::uint64_t bytes) : bytes_(bytes), copy_(bytes) {
    for (const auto& entry : state.entries()) {
      std::uint64_t slice = cairn::size_of(entry.source.dtype());
      for (const std::uint64_t extent : entry.slice.extent) slice *= extent;
      pieces_.emplace_back(entry.source.data(), slice);
    }
  }
  double run(const World& world) {
    static_cast<void>(world.synchronised_time());
    const auto start = Clock::now();
    std::uint64_t done = 0;
    for (const auto& [data, bytes] : pieces_) {
      const std::uint64_t n = std::min(bytes, bytes_ - done);
      std::memcpy(copy_.data() + done, data, n);
      done += n;
    }
    return seconds_since(start);
  }

 private:
  std::uint64_t bytes_;
  std::vector<std::byte> copy_;
  std::vector<std::pair<const std::byte*, std::uint64_t>> pieces_;
};

class AsyncSaves {
 public:
  AsyncSaves(const AsyncArguments& arguments, const World& world, cairn::State& state,
             cairn::CheckpointSettings settings)
      : arguments_(arguments), world_(world), state_(state), lazy_(settings.lazy_capture) {
    settings.save_checkpoint_steps = static_cast<std::int64_t>(kSaveEvery);
    settings.listener = &commit_;
    checkpoint_.emplace(world.comm(), arguments.prefix, arguments.directory, std::move(settings));
  }

  Cost save_once(std::uint64_t number, CopyOfAShare* copy) {
    Cost cost;
    // Training goes on between two saves; the files that the last one replaced go meanwhile.
    const auto since = Clock::now();
    while (number > 1 && seconds_since(since) < arguments_.step_seconds) kernel_.run();
    if (copy != nullptr) cost.memcpy = copy->run(world_);
    double alone = 0;
    for (int i = 0; i < kUnitsAlone; ++i) alone += kernel_.run();
    static_cast<void>(world_.synchronised_time());
    std::uint64_t step = number * kSaveEvery;
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

  [[nodiscard]] cairn::SaveReport last() const { return checkpoint_->last_report().value(); }
  [[nodiscard]] double checksum() const { return kernel_.checksum(); }

 private:
  template <class Call>
  static double timed(Call&& call) {
    const auto start = Clock::now();
    call();
    return seconds_since(start);
  }

  const AsyncArguments& arguments_;
  const World& world_;
  cairn::State& state_;
  bool lazy_;
  CommitClock commit_;
  BusyKernel kernel_;
  std::optional<cairn::ModelCheckpoint> checkpoint_;
};

/// The worst rank's.
Cost worst(const World& world, const Cost& mine) {
  std::array<double, 4> all{mine.stall, mine.memcpy, mine.total, mine.slowdown};
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_MAX,
                world.comm());
  return {all[0], all[1], all[2], all[3]};
}

Report report_of(const Cost& cost, std::uint64_t number, const AsyncArguments& arguments,
                 const cairn::SaveReport& done) {
  Report report;
  report.text("save", std::to_string(number) + " of " + std::to_string(arguments.repeat))
      .text("path", done.path.string())
      .bytes("bytes", done.file_bytes);
  for (std::size_t i = 0; i < cairn::kPhaseCount; ++i) {
    const std::string phase(cairn::to_string(static_cast<cairn::Phase>(i)));
    report.number("seconds " + phase, done.seconds[i], 4);
  }
  return report.number("seconds stall", cost.stall, 4)
      .number("seconds memcpy", cost.memcpy, 4)
      .number("seconds total", cost.total, 4)
      .number("slowdown of the kernel", cost.slowdown, 3);
}

/// From the second save on: the first one makes the plan and touches its memory.
Report summary_of(const std::vector<Cost>& costs, double checksum) {
  std::vector<double> to_memcpy;
  std::vector<double> to_total;
  std::vector<double> slowdown;
  for (std::size_t i = 1; i < costs.size(); ++i) {
    to_memcpy.push_back(costs[i].stall / costs[i].memcpy);
    to_total.push_back(costs[i].stall / costs[i].total);
    slowdown.push_back(costs[i].slowdown);
  }
  Report report;
  if (to_memcpy.empty()) return report;
  const auto add = [&](const std::string& name, std::vector<double> values) {
    const Median median = median_of(std::move(values));
    report.number(name + ", median", median.value, 3)
        .number(name + ", low", median.low, 3)
        .number(name + ", high", median.high, 3);
  };
  add("stall / memcpy", std::move(to_memcpy));
  add("stall / total", std::move(to_total));
  add("slowdown of the kernel", std::move(slowdown));
  return report.number("checksum of the kernel", checksum, 0);
}

}  // namespace

std::vector<Report> run_async_saves(const AsyncArguments& arguments, const Stage& stage,
                                    Slices& slices, cairn::CheckpointSettings settings) {
  AsyncSaves saves(arguments, stage.world, slices.state(), std::move(settings));
  std::optional<CopyOfAShare> copy;
  std::vector<Cost> costs;
  std::vector<Report> reports;
  for (std::uint64_t number = 1; number <= arguments.repeat; ++number) {
    const Cost mine = saves.save_once(number, copy ? &*copy : nullptr);
    costs.push_back(worst(stage.world, mine));
    const cairn::SaveReport done = saves.last();
    if (!copy) {
      const auto ranks = static_cast<std::uint64_t>(stage.world.ranks());
      copy.emplace(slices.state(), std::min(slices.bytes(), done.value_bytes / ranks));
      copy->run(stage.world);  // touches it
    }
    reports.push_back(report_of(costs.back(), number, arguments, done));
    print_next(stage, reports.back());
  }
  reports.push_back(summary_of(costs, saves.checksum()));
  print_next(stage, reports.back());
  return reports;
}

}  // namespace bench
