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

/// Reads or writes whole blocks of files in the background while the caller moves other data.
/// A few threads suffice: each has one large request under way.
class BlockIo final : public BlockSink {
 public:
  enum class Direction : bool { read, write };

  /// `file`, which must outlive this object: where blocks go that are submitted without one.
  explicit BlockIo(Direction direction, const PosixFile* file = nullptr);
  /// Waits for the requests that are under way; drops those not begun.
  ~BlockIo() override;

  /// `file` and `bytes` must stay until the completion with this token is taken.
  void submit(const PosixFile& file, std::span<std::byte> bytes, std::uint64_t offset,
              std::size_t token);
  void submit(std::span<std::byte> bytes, std::uint64_t offset, std::size_t token) override {
    submit(*file_, bytes, offset, token);
  }
  std::optional<Completion> poll() override;

 private:
  struct Request {
    const PosixFile* file;
    std::span<std::byte> bytes;
    std::uint64_t offset;
    std::size_t token;
  };

  void serve(std::stop_token stop);
  Completion perform(const Request& request) const;

  Direction direction_;
  const PosixFile* file_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Request> waiting_;
  std::deque<Completion> completed_;
  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

}  // namespace cairn::storage
