#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace cairn::coord {

/// One job at a time on a thread of its own. Used by one thread.
class Background {
 public:
  Background() = default;
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  /// Waits for the job that is under way.
  ~Background() = default;

  /// Makes the thread, unless it is there. Throws where the system has none.
  void prepare();
  /// After `prepare`, with no job under way. `job` must not throw.
  void start(std::function<void()> job);
  /// Whether no job is under way. Then all that jobs did is seen by this thread.
  [[nodiscard]] bool idle() const;
  /// Waits at most that long; whether no job is under way then.
  [[nodiscard]] bool wait_for(std::chrono::milliseconds timeout) const;
  void wait() const;

 private:
  void serve(const std::stop_token& stop);

  mutable std::mutex mutex_;
  mutable std::condition_variable finished_;
  std::condition_variable_any wake_;
  std::function<void()> job_;  ///< empty: idle
  std::jthread thread_;        // last: joined before the rest goes
};

}  // namespace cairn::coord
