#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/slice_access.hpp"
#include "coord/staging.hpp"
#include "coord/supply.hpp"
#include "plan/routes.hpp"

namespace cairn::coord {

/// Reads the slices when their turn comes, into the bounded memory of `Staging`. Runs of bytes in
/// memory it only points at: the thread that writes the block copies them. All that it is given must
/// outlive it.
class LiveSupply final : public Supply {
 public:
  /// `slices` by `Holding::entry`.
  LiveSupply(const plan::Routes& routes, std::span<const SliceAccess> slices, Staging& staging);

  std::optional<Open> open(std::size_t n) override;
  void close(std::span<std::byte> block) override;
  const std::byte* outgoing(std::size_t n) override;
  void sent(std::size_t n) override;
  [[nodiscard]] const std::optional<Error>& error() const override { return error_; }

 private:
  void fill(const plan::OwnedBlock& block, Open& open);
  void pack(const plan::Message& message, std::byte* packed);
  void note(std::optional<Error> error);

  const plan::Routes& routes_;
  std::span<const SliceAccess> slices_;
  Staging& staging_;
  std::vector<std::span<std::byte>> free_;
  std::unordered_map<std::size_t, const std::byte*> packed_;  ///< messages that are not sent in place
  std::optional<Error> error_;
};

}  // namespace cairn::coord
