#include <array>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <string>

#include "cairn/log.hpp"

#ifdef CAIRN_HAVE_SPDLOG
#include <spdlog/spdlog.h>
#endif

namespace cairn {
namespace {

/// "1.40 GiB", "812 B".
std::string with_unit(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::ostringstream text;
  text << std::fixed << std::setprecision(unit == 0 ? 0 : 2) << value << " " << kUnits[unit];
  return text.str();
}

std::string in_seconds(double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(3) << seconds << " s";
  return text.str();
}

std::string line_of(const Event& event) {
  const double total = std::accumulate(event.seconds.begin(), event.seconds.end(), 0.0);
  std::string line = "saved step " + std::to_string(event.step) + " to " + event.path.string() +
                     ": " + with_unit(event.bytes) + " in " + in_seconds(total) + ", stall " +
                     in_seconds(event.stall_seconds);
  const char* before = " (";
  for (std::size_t i = 0; i < kPhaseCount; ++i) {
    if (event.seconds[i] == 0) continue;
    line += before + std::string(to_string(static_cast<Phase>(i))) + " " +
            in_seconds(event.seconds[i]);
    before = ", ";
  }
  return line + ")";
}

}  // namespace

LogSink default_log() {
  return [](Severity severity, std::string_view line) {
#ifdef CAIRN_HAVE_SPDLOG
    constexpr std::array kLevels{spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    spdlog::default_logger_raw()->log(kLevels[static_cast<std::size_t>(severity)],
                                      spdlog::string_view_t(line.data(), line.size()));
#else
    constexpr std::array kWords{"", "warning: ", "error: "};
    std::fprintf(stderr, "cairn: %s%.*s\n", kWords[static_cast<std::size_t>(severity)],
                 static_cast<int>(line.size()), line.data());
#endif
  };
}

LogListener::LogListener(LogSink sink) : sink_(std::move(sink)) {}

void LogListener::say(const Event& event, Severity severity, std::string_view line) const {
  if ((event.rank == 0 || event.alone) && sink_) sink_(severity, line);
}

void LogListener::waited(const Event& event, double seconds) {
  say(event, Severity::info,
      "waited " + in_seconds(seconds) + " for the save of step " + std::to_string(event.step));
}

void LogListener::committed(const Event& event) { say(event, Severity::info, line_of(event)); }

void LogListener::failed(const Event& event, const Error& error) {
  say(event, Severity::error,
      "the save of step " + std::to_string(event.step) + " to " + event.path.string() +
          " failed: " + error.what());
}

void LogListener::stopping(const Event& event, std::string_view reason) {
  say(event, Severity::warning,
      "saving and stopping after step " + std::to_string(event.step) + ": " + std::string(reason));
}

void LogListener::deleted(const Event& event) {
  say(event, Severity::info, "deleted " + event.path.string());
}

void LogListener::skipped(const Event& event, std::string_view reason) {
  const std::string what = event.path.empty() ? "" : "passed over " + event.path.string() + ": ";
  say(event, Severity::warning, what + std::string(reason));
}

}  // namespace cairn
