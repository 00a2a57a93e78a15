#include "async_saves.hpp"

#include <utility>

#include "statistics.hpp"

namespace bench {
namespace {

Report report_of(const AsyncCost& cost, std::uint64_t number, const AsyncArguments& arguments,
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
Report summary_of(const std::vector<AsyncCost>& costs, double checksum) {
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
  AsyncSaver saver(arguments, stage.world, slices.state(), slices.bytes(), std::move(settings));
  std::vector<AsyncCost> costs;
  std::vector<Report> reports;
  for (std::uint64_t number = 1; number <= arguments.repeat; ++number) {
    costs.push_back(saver.save_once());
    reports.push_back(report_of(costs.back(), number, arguments, saver.last()));
    print_next(stage, reports.back());
  }
  reports.push_back(summary_of(costs, saver.checksum()));
  print_next(stage, reports.back());
  return reports;
}

}  // namespace bench
