#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/slice_access.hpp"
#include "cairn/save.hpp"
#include "cairn/state.hpp"
#include "coord/block_check.hpp"
#include "coord/comm.hpp"
#include "coord/staging.hpp"
#include "coord/stored.hpp"
#include "plan/claim.hpp"
#include "plan/owners.hpp"
#include "plan/routes.hpp"
#include "storage/block_files.hpp"
#include "storage/block_io.hpp"

namespace cairn::coord {

/// Fills slices from the blocks of what is stored: every block that anybody needs is read by one rank,
/// and its pieces go to those who want them. May do so again and again, with the same buffers.
class Fill {
 public:
  /// Both, and the options, must outlive it. Throws where the key does not fit.
  Fill(const Comm& comm, const Stored& stored, const LoadOptions& options);
  Fill(const Fill&) = delete;
  Fill& operator=(const Fill&) = delete;

  /// Collective. Who reads what for whom. `claims` are about the entries of `state`, one by one;
  /// `places` says which of the stored tensors each is filled from, or none. The state must stay
  /// until `move` is done.
  void plan(const State& state, std::span<const plan::Claim> claims,
            std::span<const std::optional<std::size_t>> places);
  /// Collective. Opens what the plan needs, and makes the buffers.
  void open();
  /// Collective. Throws the same error everywhere, after values moved.
  void move();

  [[nodiscard]] bool direct() const noexcept { return direct_; }
  /// Of all plans, on this rank.
  [[nodiscard]] std::uint64_t blocks_read() const noexcept { return blocks_read_; }
  [[nodiscard]] std::uint64_t staged() const noexcept { return staging_ ? staging_->bytes() : 0; }

 private:
  plan::Holding hold(const State::Entry& entry, const Box& box, std::size_t tensor,
                     const StoredPiece& piece, std::vector<std::uint64_t>& wanted);
  [[nodiscard]] plan::Ownership assign_readers(const std::vector<std::uint64_t>& wanted) const;
  void open_files();

  const Comm& comm_;
  const Stored& stored_;
  const LoadOptions& options_;
  storage::BlockFiles files_;
  BlockCheck check_;
  bool direct_ = false;
  std::vector<SliceFiller> fillers_;  ///< of each holding
  plan::Routes routes_;
  std::uint64_t blocks_read_ = 0;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<storage::BlockIo> io_;  ///< goes first: its threads use the staging
};

}  // namespace cairn::coord
