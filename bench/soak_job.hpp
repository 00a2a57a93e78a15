#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// A program with all that it starts, in a session of its own. What it tells by a named pipe comes
/// line by line: unlike its output, which goes through mpirun, that is not lost where it is killed.
class SoakJob {
 public:
  /// `told`: the pipe's end for reading, which never waits.
  SoakJob(const std::vector<std::string>& command, int told);
  SoakJob(const SoakJob&) = delete;
  SoakJob& operator=(const SoakJob&) = delete;
  /// Kills what is left of it.
  ~SoakJob();

  using Clock = std::chrono::steady_clock;
  /// The next line. Nothing: the job ended, or `until` came; `ended` tells which.
  std::optional<std::string> next_line(Clock::time_point until);
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] const std::string& output() const noexcept { return printed_; }
  /// SIGKILL to all of its processes or, else, to the first alone: the others die late.
  void kill(bool all) const;
  /// Its exit code; -1 where a signal ended it.
  int wait();

 private:
  [[nodiscard]] std::vector<pid_t> processes() const;

  pid_t id_ = 0;
  bool reaped_ = false;
  int told_;
  int output_ = -1;
  bool ended_ = false;
  std::string lines_;    ///< told, and not given out yet
  std::string printed_;  ///< its output
};

}  // namespace bench
