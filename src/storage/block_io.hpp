#pragma once

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
#include "storage/block_sink.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {

/// Reads or writes whole blocks of one file in the background while the caller moves other data.
/// A few threads suffice: each has one large request under way.
class BlockIo final : public BlockSink {
 public:
  enum class Direction : bool { read, write };

  /// `file` must outlive this object.
  BlockIo(const PosixFile& file, Direction direction);
  /// Waits for the requests that are under way; drops those not begun.
  ~BlockIo() override;

  void submit(std::span<std::byte> bytes, std::uint64_t offset, std::size_t token) override;
  std::optional<Completion> poll() override;

 private:
  struct Request {
    std::span<std::byte> bytes;
    std::uint64_t offset;
    std::size_t token;
  };

  void serve(std::stop_token stop);
  Completion perform(const Request& request) const;

  const PosixFile& file_;
  Direction direction_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Request> waiting_;
  std::deque<Completion> completed_;
  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

}  // namespace cairn::storage
