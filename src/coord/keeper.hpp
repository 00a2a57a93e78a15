#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "storage/block_sink.hpp"

namespace cairn::coord {

/// Leaves blocks where they are.
class Keeper final : public storage::BlockSink {
 public:
  void submit(std::span<std::byte> bytes, std::uint64_t, std::size_t token,
              std::vector<storage::LooseBytes> loose) override {
    storage::gather(loose, 0, bytes);
    kept_.push_back(token);
  }
  std::optional<Completion> poll() override {
    if (kept_.empty()) return std::nullopt;
    const std::size_t token = kept_.front();
    kept_.pop_front();
    return Completion{token, std::nullopt};
  }

 private:
  std::deque<std::size_t> kept_;
};

}  // namespace cairn::coord
