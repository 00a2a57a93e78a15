#include "storage/trash.hpp"

#include <exception>
#include <utility>

namespace cairn::storage {
namespace {

/// What cannot be deleted is left to a sweep.
void delete_tree(const std::filesystem::path& path) noexcept {
  try {
    std::filesystem::remove_all(path);
  } catch (const std::exception&) {
  }
}

}  // namespace

Trash::~Trash() { wait(); }

void Trash::put(std::filesystem::path path) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    }
    paths_.push_back(path);
    wake_.notify_one();
  } catch (const std::exception&) {
    delete_tree(path);
  }
}

void Trash::wait() const {
  std::unique_lock lock(mutex_);
  empty_.wait(lock, [this] { return paths_.empty(); });
}

void Trash::serve(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return !paths_.empty(); })) {
    const std::filesystem::path path = paths_.front();
    lock.unlock();
    delete_tree(path);
    lock.lock();
    paths_.pop_front();
    if (paths_.empty()) empty_.notify_all();
  }
}

}  // namespace cairn::storage
