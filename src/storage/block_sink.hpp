#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "cairn/error.hpp"
#include "storage/block_io.hpp"
#include "storage/image_writer.hpp"

namespace cairn::storage {

/// Where the finished blocks of a save go. Some sinks write by themselves, others only in turns
/// that all ranks take together.
class BlockSink {
 public:
  using Completion = BlockIo::Completion;

  BlockSink() = default;
  BlockSink(const BlockSink&) = delete;
  BlockSink& operator=(const BlockSink&) = delete;
  virtual ~BlockSink() = default;

  /// Local. `position` is the block's in the image; `loose` is copied into it. All of it must stay
  /// until the completion with this token is taken; `bytes` are changed where the block is sealed.
  virtual void submit(std::span<std::byte> bytes, std::uint64_t position, std::size_t token,
                      std::vector<LooseBytes> loose) = 0;
  /// Local. The next block that is written, if any.
  virtual std::optional<Completion> poll() = 0;
  /// Local. Sleeps until there is one, but not longer than this.
  virtual void wait(std::chrono::microseconds most) { std::this_thread::sleep_for(most); }

  /// Takes one turn with the other ranks where one of the first `ready` is still to come, and may
  /// wait for them; returns whether it did. To be called again and again with what holds by then:
  /// the turn of round n may be taken when no rank needs anything more from this one for the blocks
  /// of rounds 0 to n, and this one's own are submitted or given up.
  virtual bool take_turn(std::size_t ready) {
    static_cast<void>(ready);
    return false;
  }
};

/// Writes each block by itself, in the background, as what `writer` makes of it. Both must outlive it.
class FileSink final : public BlockSink {
 public:
  FileSink(const PosixFile& file, ImageWriter& writer)
      : file_(file),
        writer_(writer),
        io_(BlockIo::Direction::write, writer.applies() ? &writer : nullptr) {}

  void submit(std::span<std::byte> bytes, std::uint64_t position, std::size_t token,
              std::vector<LooseBytes> loose) override {
    io_.submit(file_, bytes, writer_.offset_of(position), token, position, std::move(loose));
  }
  std::optional<Completion> poll() override { return io_.poll(); }
  void wait(std::chrono::microseconds most) override { io_.wait(most); }

 private:
  const PosixFile& file_;
  ImageWriter& writer_;
  BlockIo io_;
};

}  // namespace cairn::storage
