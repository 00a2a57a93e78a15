#include "stage.hpp"

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "failure.hpp"

namespace bench {

Report describe(const Stage& stage, const std::string& workload_path, const Workload& workload,
                const Slices& slices) {
  Report report;
  report.text("workload", workload_path)
      .count("tensors", workload.tensors.size())
      .bytes("bytes of values", workload.bytes())
      .count("ranks", static_cast<std::uint64_t>(stage.world.ranks()))
      .bytes("bytes of slices on a rank, max", stage.world.max(slices.bytes()));
  return report;
}

void add_memory_peaks(Report& report, const Stage& stage, const Slices& slices) {
  const std::uint64_t above_init = stage.gauge.peak_above();
  const std::uint64_t above_slices = above_init > slices.bytes() ? above_init - slices.bytes() : 0;
  report.bytes("peak memory above MPI_Init, max", stage.world.max(above_init))
      .bytes("peak memory above slices, max", stage.world.max(above_slices));
}

void print_first(const Stage& stage, const Report& report) {
  if (stage.world.is_root()) report.print(std::cout);
}

void print_next(const Stage& stage, const Report& report) {
  if (!stage.world.is_root()) return;
  std::cout << '\n';
  report.print(std::cout);
}

void write_json(const Stage& stage, const std::filesystem::path& path,
                const nlohmann::ordered_json& json) {
  bool written = true;
  if (stage.world.is_root()) {
    std::ofstream file(path);
    file << json.dump(2) << '\n';
    file.close();
    written = bool{file};
  }
  if (!stage.world.all(written)) throw Failure("cannot write " + path.string());
}

}  // namespace bench
