#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cairn/error.hpp"
#include "cairn/state.hpp"

namespace cairn::coord {

/// Finds tensors that changed while a lazy capture had not taken them yet.
class CaptureCheck {
 public:
  /// Local. Reads all values, for their CRCs. `entries` must outlive it.
  explicit CaptureCheck(std::span<const State::Entry> entries);
  /// Local. Reads them again. Names the first tensor that is not what it was.
  [[nodiscard]] std::optional<Error> find_changed() const;

 private:
  [[nodiscard]] static std::uint32_t crc_of(const State::Entry& entry);

  std::span<const State::Entry> entries_;
  std::vector<std::uint32_t> crcs_;
};

}  // namespace cairn::coord
