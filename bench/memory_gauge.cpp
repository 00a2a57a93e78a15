#include "memory_gauge.hpp"

#include <fstream>
#include <string>
#include <string_view>

namespace bench {
namespace {

/// A line of /proc/self/status in bytes; 0 where there is none.
std::uint64_t status_bytes(std::string_view key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size())) * 1024;
  }
  return 0;
}

}  // namespace

MemoryGauge::MemoryGauge() {
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM := VmRSS, see proc(5)
  start_ = status_bytes("VmRSS:");
}

std::uint64_t MemoryGauge::peak_above() const {
  const std::uint64_t peak = status_bytes("VmHWM:");
  return peak > start_ ? peak - start_ : 0;
}

}  // namespace bench
