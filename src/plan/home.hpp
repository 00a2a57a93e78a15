#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/tensor.hpp"
#include "plan/box_index.hpp"
#include "plan/claim.hpp"
#include "plan/owners.hpp"
#include "plan/routes.hpp"

namespace cairn::plan {

/// What one claim of a rank puts into the file: nothing, where a replica is taken from elsewhere.
struct Share {
  std::uint64_t tensor_offset;  ///< in the image
  std::vector<BlockRange> blocks;
};

/// Plans the tensors whose home this rank is. Every tensor has one home, so no rank ever sees all
/// slices of all ranks. Used in this order: add, check, place, candidates, shares.
class Home {
 public:
  /// A claim of `rank`; `order` is its place among the claims that this rank sent to this home.
  void add(std::int32_t rank, std::uint32_t order, Claim claim);

  /// Throws `layout` where ranks disagree on a tensor's dtype or shape, or where their boxes do not
  /// cover it exactly once (identical boxes are replicas).
  void check() const;

  /// Whether no tensor has its home here.
  [[nodiscard]] bool empty() const noexcept { return planned_.empty(); }
  /// The tensors planned here.
  [[nodiscard]] std::vector<TensorInfo> tensors() const;
  /// Tells where these tensors lie in the image, in the same order.
  void place(std::span<const std::uint64_t> offsets, std::uint64_t block_bytes);
  /// Which ranks hold how much of which block.
  [[nodiscard]] std::vector<Candidate> candidates() const;
  /// For each rank the shares of its claims, in the order it sent them. Replicas are spread: a block
  /// comes from its owner where that holds it, else the holders take turns; a slice smaller than a
  /// block comes from one holder.
  [[nodiscard]] std::vector<std::vector<Share>> shares(const Ownership& ownership, int ranks) const;

  /// The same for shards, where a slice goes into its holder's own file: for each rank and claim the
  /// boxes that it writes. Replicas of a block or more are cut among their holders.
  [[nodiscard]] std::vector<std::vector<std::vector<Box>>> box_shares(
      int ranks, std::uint64_t block_bytes) const;

 private:
  struct Holder {
    std::int32_t rank;
    std::uint32_t order;
  };
  /// One box and all who hold it, ascending by rank.
  struct Replicas {
    Box box;
    std::vector<Holder> holders;
    Strided image;
  };
  struct Planned {
    TensorInfo tensor;
    std::int32_t first_rank;
    std::vector<Replicas> boxes;
    BoxIndex places;  ///< of boxes
    std::uint64_t offset = kNoOffset;
  };

  Planned& planned_for(const TensorInfo& tensor, std::int32_t rank);
  static void check_cover(const Planned& planned);
  static const Holder& contributor(const Replicas& replicas, std::int32_t owner,
                                   std::uint64_t turn);

  std::vector<Planned> planned_;
  std::unordered_map<std::string, std::size_t> place_of_tensor_;  ///< by `key_of`
  std::size_t next_ = 0;  ///< the tensor that is likely to come next
  std::vector<std::uint32_t> claims_of_rank_;
  std::string disagreement_;
  std::uint64_t block_bytes_ = 0;
};

}  // namespace cairn::plan
