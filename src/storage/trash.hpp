#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

namespace cairn::storage {

/// Deletes files and directories that bear names no reader looks at, on a thread of its own: to make
/// such a name durable, and to give the blocks of a large file back, takes a file system long enough
/// for a program to notice. What a process leaves behind in it, and what cannot be deleted, is swept by
/// the next one that uses the series.
class Trash {
 public:
  Trash() = default;
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;
  /// Waits for all that was put in.
  ~Trash();

  /// Makes the name durable, then deletes `path`, soon; at once where the system has no thread for it.
  void put(std::filesystem::path path) noexcept;
  /// Returns when all that was put in is deleted, or cannot be.
  void wait() const;

 private:
  void serve(const std::stop_token& stop);

  mutable std::mutex mutex_;
  mutable std::condition_variable empty_;
  std::condition_variable_any wake_;
  std::deque<std::filesystem::path> paths_;  ///< the first one is being deleted
  std::jthread thread_;                      // last: joined before the rest goes
};

}  // namespace cairn::storage
