#include "storage/block_io.hpp"

#include <exception>
#include <utility>

namespace cairn::storage {
namespace {

/// Two requests under way keep a device busy while one of them completes; more are there for what
/// is sealed or summed meanwhile.
constexpr int kThreads = 4;

}  // namespace

BlockIo::BlockIo(Direction direction, BlockFilter* filter)
    : direction_(direction), filter_(filter) {
  for (int i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this](std::stop_token stop) { serve(std::move(stop)); });
  }
}

BlockIo::~BlockIo() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

void BlockIo::submit(const PosixFile& file, std::span<std::byte> bytes, std::uint64_t offset,
                     std::size_t token, std::uint64_t position, std::vector<LooseBytes> loose) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({&file, bytes, offset, token, position, std::move(loose)});
  }
  wake_.notify_one();
}

std::optional<BlockIo::Completion> BlockIo::poll() {
  const std::lock_guard lock(mutex_);
  if (completed_.empty()) return std::nullopt;
  Completion first = std::move(completed_.front());
  completed_.pop_front();
  return first;
}

void BlockIo::wait(std::chrono::microseconds most) {
  std::unique_lock lock(mutex_);
  completion_.wait_for(lock, most, [this] { return !completed_.empty(); });
}

void BlockIo::serve(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    const Request request = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    Completion completion = perform(request);
    lock.lock();
    completed_.push_back(std::move(completion));
    completion_.notify_one();
    if (stop.stop_requested()) return;
  }
}

BlockIo::Completion BlockIo::perform(const Request& request) const {
  try {
    if (direction_ == Direction::write) {
      if (filter_ != nullptr) {
        filter_->apply_loose(request.bytes, request.position, request.loose);
      } else {
        gather(request.loose, 0, request.bytes);
      }
      request.file->write(request.bytes, request.offset);
    } else {
      request.file->read(request.bytes, request.offset);
      if (filter_ != nullptr) filter_->apply(request.bytes, request.position);
    }
    return {request.token, std::nullopt};
  } catch (const Error& error) {
    return {request.token, error};
  } catch (const std::exception& error) {  // no memory, in a thread that nobody else looks after
    return {request.token, Error(ErrorCode::io, error.what())};
  }
}

}  // namespace cairn::storage
