#include "coord/background.hpp"

#include <algorithm>
#include <utility>

namespace cairn::coord {

void Background::prepare() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

void Background::start(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  job_ = std::move(job);
  wake_.notify_one();
}

/// A job that is there is done even where the thread is to stop.
void Background::serve(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return bool{job_}; })) {
    lock.unlock();
    job_();
    lock.lock();
    job_ = nullptr;
    finished_.notify_all();
  }
}

bool Background::idle() const {
  const std::lock_guard lock(mutex_);
  return !job_;
}

bool Background::wait_for(std::chrono::milliseconds timeout) const {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours{24 * 365};
  std::unique_lock lock(mutex_);
  return finished_.wait_for(lock, std::min(timeout, kLongest), [this] { return !job_; });
}

void Background::wait() const {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return !job_; });
}

}  // namespace cairn::coord
