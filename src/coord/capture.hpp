#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/slice_access.hpp"
#include "coord/supply.hpp"
#include "plan/routes.hpp"
#include "storage/aligned_buffer.hpp"

namespace cairn::coord {

/// A copy of all that this rank contributes to a save, so that the program may change its tensors:
/// its own blocks one after another, each with its own pieces in place, then its messages. The bytes
/// are copied once, in runs as long as tensors and owned blocks are.
class Capture final : public Supply {
 public:
  /// Puts the copy into `memory`, which grows where it is too small and is to be kept from save to
  /// save: memory that was touched before is several times faster. Throws `std::bad_alloc`.
  Capture(const plan::Routes& routes, storage::AlignedBuffer& memory);

  /// Local. Copies; `slices` by `Holding::entry`. An error of reading them is kept.
  void take(std::span<const SliceAccess> slices);
  /// What makes the capture worthless, where nothing did so before.
  void spoil(const Error& error);

  [[nodiscard]] std::span<std::byte> block(std::size_t n) const;

  /// At most so many are open at a time as keep the disk and the network busy.
  std::optional<Open> open(std::size_t n) override;
  void close(std::span<std::byte> block) override;
  const std::byte* outgoing(std::size_t n) override;
  void sent(std::size_t n) override;
  [[nodiscard]] const std::optional<Error>& error() const override { return error_; }

 private:
  void take_own(std::span<const SliceAccess> slices, const plan::Holding& holding);
  void pack(std::span<const SliceAccess> slices, std::size_t n);

  const plan::Routes& routes_;
  std::span<std::byte> blocks_;
  std::span<std::byte> messages_;
  std::vector<std::uint64_t> message_at_;
  std::size_t open_ = 0;
  std::optional<Error> error_;
};

}  // namespace cairn::coord
