#include "workload_file.hpp"

#include <fstream>
#include <sstream>
#include <string>

#include "failure.hpp"

namespace bench {

Workload read_workload(const World& world, const std::filesystem::path& path) {
  std::ostringstream text;
  bool readable = true;
  if (world.is_root()) {
    std::ifstream file(path, std::ios::binary);
    readable = file.is_open() && (text << file.rdbuf());
  }
  if (!world.all(readable)) throw UsageError("cannot read the workload " + path.string());
  try {
    return parse_workload(world.from_root(text.str()));
  } catch (const WorkloadError& error) {
    throw UsageError(path.string() + ": " + error.what());
  }
}

}  // namespace bench
