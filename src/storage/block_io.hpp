#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "cairn/error.hpp"
#include "storage/block_filter.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {

/// Reads or writes whole blocks of files in the background while the caller moves other data.
/// A few threads suffice, which start as there is work for them: each has one large request under way.
class BlockIo {
 public:
  enum class Direction : bool { read, write };
  struct Completion {
    std::size_t token;
    std::optional<Error> error;
  };

  /// `filter`, which must outlive this object, is applied to each block before it is written or
  /// after it was read, by the threads here.
  explicit BlockIo(Direction direction, BlockFilter* filter = nullptr);
  BlockIo(const BlockIo&) = delete;
  BlockIo& operator=(const BlockIo&) = delete;
  /// Waits for the requests that are under way; drops those not begun.
  ~BlockIo();

  /// `offset` is the block's in the file, `position` what the filter is told. `file`, `bytes` and
  /// what `loose` refers to must stay until the completion with this token is taken.
  void submit(const PosixFile& file, std::span<std::byte> bytes, std::uint64_t offset,
              std::size_t token, std::uint64_t position = 0, std::vector<LooseBytes> loose = {});
  /// The next request that is complete, if any.
  std::optional<Completion> poll();
  /// Sleeps until there is one, but not longer than this.
  void wait(std::chrono::microseconds most);

 private:
  struct Request {
    const PosixFile* file;
    std::span<std::byte> bytes;
    std::uint64_t offset;
    std::size_t token;
    std::uint64_t position;
    std::vector<LooseBytes> loose;
  };

  /// Where the system has none to give, those that are there do it all: the caller, if none is.
  void start_thread();
  void serve_one(std::unique_lock<std::mutex>& lock);
  void serve(std::stop_token stop);
  Completion perform(const Request& request) const;
  void write(const Request& request) const;
  void read(const Request& request) const;

  Direction direction_;
  BlockFilter* filter_;
  std::mutex mutex_;
  std::condition_variable_any wake_;       ///< there are requests
  std::condition_variable completion_;     ///< a request is complete
  std::deque<Request> waiting_;
  std::deque<Completion> completed_;
  std::size_t busy_ = 0;  ///< threads with a request
  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

}  // namespace cairn::storage
