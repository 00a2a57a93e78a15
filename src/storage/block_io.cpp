#include "storage/block_io.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace cairn::storage {
namespace {

/// Two requests under way keep a device busy while one of them completes; more are there for what
/// is sealed or summed meanwhile.
constexpr std::size_t kThreads = 4;

/// Bytes that are worth a call to write them from where they are.
constexpr std::size_t kLongRun = std::size_t{64} << 10;

/// What is not direct is copied by the system, from any address: so long runs of `loose` are not
/// copied into their block first.
void write_from_place(const PosixFile& file, std::span<std::byte> block, std::uint64_t offset,
                      std::vector<LooseBytes> loose) {
  std::ranges::sort(loose, {}, &LooseBytes::at);
  std::size_t done = 0;
  const auto write_block_to = [&](std::size_t end) {
    if (end > done) file.write(block.subspan(done, end - done), offset + done);
  };
  for (const LooseBytes& run : loose) {
    if (run.bytes.size() < kLongRun) {
      gather({&run, 1}, 0, block);
      continue;
    }
    write_block_to(run.at);
    file.write(run.bytes, offset + run.at);
    done = run.at + run.bytes.size();
  }
  write_block_to(block.size());
}

}  // namespace

BlockIo::BlockIo(Direction direction, BlockFilter* filter)
    : direction_(direction), filter_(filter) {
  threads_.reserve(kThreads);
}

void BlockIo::start_thread() {
  try {
    threads_.emplace_back([this](std::stop_token stop) { serve(std::move(stop)); });
  } catch (const std::exception&) {
    if (!threads_.empty()) return;
    std::unique_lock lock(mutex_);
    serve_one(lock);
  }
}

BlockIo::~BlockIo() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

void BlockIo::submit(const PosixFile& file, std::span<std::byte> bytes, std::uint64_t offset,
                     std::size_t token, std::uint64_t position, std::vector<LooseBytes> loose) {
  bool all_busy = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({&file, bytes, offset, token, position, std::move(loose)});
    all_busy = busy_ + waiting_.size() > threads_.size();
  }
  wake_.notify_one();
  if (all_busy && threads_.size() < kThreads) start_thread();
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
    if (stop.stop_requested()) return;
    serve_one(lock);
  }
}

/// `lock` is held, but not while the request is performed.
void BlockIo::serve_one(std::unique_lock<std::mutex>& lock) {
  const Request request = std::move(waiting_.front());
  waiting_.pop_front();
  ++busy_;
  lock.unlock();
  Completion completion = perform(request);
  lock.lock();
  --busy_;
  completed_.push_back(std::move(completion));
  completion_.notify_one();
}

BlockIo::Completion BlockIo::perform(const Request& request) const {
  try {
    direction_ == Direction::write ? write(request) : read(request);
    return {request.token, std::nullopt};
  } catch (const Error& error) {
    return {request.token, error};
  } catch (const std::exception& error) {  // no memory, in a thread that nobody else looks after
    return {request.token, Error(ErrorCode::io, error.what())};
  }
}

void BlockIo::write(const Request& request) const {
  if (filter_ != nullptr) {
    filter_->apply_loose(request.bytes, request.position, request.loose);
  } else if (request.file->is_direct()) {
    gather(request.loose, 0, request.bytes);
  } else {
    write_from_place(*request.file, request.bytes, request.offset, request.loose);
    return;
  }
  request.file->write(request.bytes, request.offset);
}

void BlockIo::read(const Request& request) const {
  request.file->read(request.bytes, request.offset);
  if (filter_ != nullptr) filter_->apply(request.bytes, request.position);
}

}  // namespace cairn::storage
