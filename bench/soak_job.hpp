#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// A program with all that it starts, in a session of its own; its output comes line by line.
class SoakJob {
 public:
  explicit SoakJob(const std::vector<std::string>& command);
  SoakJob(const SoakJob&) = delete;
  SoakJob& operator=(const SoakJob&) = delete;
  /// Kills what is left of it.
  ~SoakJob();

  using Clock = std::chrono::steady_clock;
  /// The next line. Nothing: the output ended, or `until` came; `ended` tells which.
  std::optional<std::string> next_line(Clock::time_point until);
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// SIGKILL to all of its processes or, else, to the first alone: the others die late.
  void kill(bool all) const;
  /// Its exit code; -1 where a signal ended it.
  int wait();

 private:
  [[nodiscard]] std::vector<pid_t> processes() const;

  pid_t id_ = 0;
  bool reaped_ = false;
  int output_ = -1;
  bool ended_ = false;
  std::string text_;
};

}  // namespace bench
