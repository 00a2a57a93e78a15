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

  /// Local. Copies what entries before number `end` contribute; `slices` by `Holding::entry`. An
  /// error of reading them is kept.
  void take(std::span<const SliceAccess> slices, std::size_t end = kAll);
  /// Local. After `take`: what the entries from number `begin` on contribute to the rounds from
  /// `first` to `last`.
  void take_rounds(std::span<const SliceAccess> slices, std::size_t begin, std::size_t first,
                   std::size_t last);
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
  static constexpr std::size_t kAll = ~std::size_t{0};

  void take_own(std::span<const SliceAccess> slices, const plan::Holding& holding);
  void take_piece(std::span<const SliceAccess> slices, std::size_t n, const plan::Holding& holding);
  void pack(std::span<const SliceAccess> slices, std::size_t n, std::size_t begin,
            std::size_t end);

  const plan::Routes& routes_;
  std::span<std::byte> blocks_;
  std::span<std::byte> messages_;
  std::vector<std::uint64_t> message_at_;
  std::size_t open_ = 0;
  std::optional<Error> error_;
};

}  // namespace cairn::coord
