#include "storage/trash.hpp"

#include <exception>
#include <utility>

#include "storage/posix_file.hpp"

namespace cairn::storage {
namespace {

/// Its name first: what a crash brings back under the old one must be whole. What cannot be deleted is
/// left to a sweep.
void delete_durably(const std::filesystem::path& path) noexcept {
  try {
    sync_directory(path.parent_path());
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
    delete_durably(path);
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
    delete_durably(path);
    lock.lock();
    paths_.pop_front();
    if (paths_.empty()) empty_.notify_all();
  }
}

}  // namespace cairn::storage
