#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <utility>

namespace cairn::testing {

/// Another process of this program, such as a second job would be.
class ChildProcess {
 public:
  using Hold = std::function<void()>;

  /// Runs `work(hold)` in it. Returns as soon as `work` has called `hold()`, which returns in the
  /// child when it is told to go on; or when it has ended without.
  explicit ChildProcess(const std::function<void(const Hold&)>& work) {
    if (::pipe(holds_.data()) != 0 || ::pipe(goes_on_.data()) != 0) std::abort();
    id_ = ::fork();
    if (id_ == 0) run(work);
    ::close(holds_[1]);
    ::close(goes_on_[0]);
    char byte = 0;
    holding_ = ::read(holds_[0], &byte, 1) == 1;
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (id_ != 0) kill();
    ::close(holds_[0]);
    if (goes_on_[1] >= 0) ::close(goes_on_[1]);
  }

  [[nodiscard]] bool holding() const noexcept { return holding_; }
  [[nodiscard]] pid_t id() const noexcept { return id_; }

  /// It need not hold for ever, but nobody waits for it.
  void go_on() { ::close(std::exchange(goes_on_[1], -1)); }
  /// Its exit code; -1 where a signal ended it.
  int wait() {
    if (goes_on_[1] >= 0) go_on();
    return reap();
  }
  void kill() {
    ::kill(id_, SIGKILL);
    reap();
  }

 private:
  [[noreturn]] void run(const std::function<void(const Hold&)>& work) {
    ::close(holds_[0]);
    ::close(goes_on_[1]);
    try {
      work([this] {
        char byte = 'h';
        if (::write(holds_[1], &byte, 1) != 1 || ::read(goes_on_[0], &byte, 1) != 0) _exit(4);
      });
    } catch (...) {
      _exit(3);
    }
    _exit(0);
  }

  int reap() {
    int status = 0;
    ::waitpid(std::exchange(id_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::array<int, 2> holds_{};
  std::array<int, 2> goes_on_{};
  pid_t id_ = 0;
  bool holding_ = false;
};

}  // namespace cairn::testing
