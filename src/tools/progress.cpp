#include "tools/progress.hpp"

#include <unistd.h>

#include <iostream>

#include "tools/printable.hpp"

namespace cairn::tools {
namespace {

constexpr unsigned kBarColumns = 30;
constexpr unsigned kStep = 10;  // percent
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string what, bool quiet)
    : what_(std::move(what)), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_) std::cerr << kClearLine << std::flush;
}

void Progress::at(std::uint64_t done, std::uint64_t total) {
  if (quiet_) return;
  const auto percent =
      total == 0 ? 100U
                 : static_cast<unsigned>(100 * static_cast<double>(done) /
                                         static_cast<double>(total));
  if (terminal_) {
    draw(done, total, percent);
    return;
  }
  if (percent / kStep == told_ / kStep) return;
  told_ = percent;
  std::cerr << "cairn: " << what_ << ": " << percent / kStep * kStep << " %" << std::endl;
}

void Progress::draw(std::uint64_t done, std::uint64_t total, unsigned percent) {
  const unsigned full = kBarColumns * percent / 100;
  std::cerr << kClearLine << what_ << "  [" << std::string(full, '#')
            << std::string(kBarColumns - full, '.') << "] " << percent << " %  "
            << readable_bytes(done) << " of " << readable_bytes(total) << std::flush;
  drawn_ = true;
}

}  // namespace cairn::tools
