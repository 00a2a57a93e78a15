#include "plan/home.hpp"

#include <algorithm>

#include "cairn/error.hpp"
#include "plan/sharing.hpp"

namespace cairn::plan {
namespace {

/// "rank 3" or "ranks 0, 1, 2, …": no more than a reader takes in.
template <class Range, class Rank>
std::string list_ranks(const Range& range, Rank&& rank) {
  constexpr std::size_t kShown = 8;
  std::string text = std::size(range) == 1 ? "rank " : "ranks ";
  std::size_t n = 0;
  for (const auto& item : range) {
    if (n > 0) text += ", ";
    if (n++ == kShown) return text + "…";
    text += std::to_string(rank(item));
  }
  return text;
}

std::string describe_box(const Box& box) {
  return "the box at " + to_string(box.offset) + " of extent " + to_string(box.extent);
}

/// One tensor for all ranks, and no other, has that key.
std::string key_of(const TensorInfo& tensor) {
  return static_cast<char>(tensor.family) + tensor.name;
}

}  // namespace

void Home::add(std::int32_t rank, std::uint32_t order, Claim claim) {
  if (claims_of_rank_.size() <= static_cast<std::size_t>(rank)) {
    claims_of_rank_.resize(static_cast<std::size_t>(rank) + 1, 0);
  }
  ++claims_of_rank_[static_cast<std::size_t>(rank)];
  Planned& planned = planned_for(claim.tensor, rank);
  if (planned.tensor != claim.tensor) {
    if (disagreement_.empty()) {
      disagreement_ = label(claim.tensor) + ": rank " + std::to_string(planned.first_rank) +
                      " says " + type_and_shape(planned.tensor) + ", rank " +
                      std::to_string(rank) + " says " + type_and_shape(claim.tensor);
    }
    return;
  }
  if (is_empty(claim.box)) return;
  const std::size_t place = planned.places.find_or_add(
      claim.box, planned.boxes.size(),
      [&](std::size_t i) -> const Box& { return planned.boxes[i].box; });
  if (place == planned.boxes.size()) planned.boxes.push_back({std::move(claim.box), {}, {}});
  planned.boxes[place].holders.push_back({rank, order});
}

/// The tensor of that name, which is new where it has none.
Home::Planned& Home::planned_for(const TensorInfo& tensor, std::int32_t rank) {
  // Ranks tell the same tensors in the same order, mostly.
  if (next_ >= planned_.size()) next_ = 0;
  if (next_ < planned_.size() && planned_[next_].tensor == tensor) return planned_[next_++];
  const auto [at, is_new] = place_of_tensor_.try_emplace(key_of(tensor), planned_.size());
  if (is_new) {
    planned_.push_back({.tensor = tensor, .first_rank = rank, .boxes = {}, .places = {}});
  }
  next_ = at->second + 1;
  return planned_[at->second];
}

void Home::check() const {
  if (!disagreement_.empty()) throw Error(ErrorCode::layout, disagreement_);
  for (const Planned& planned : planned_) check_cover(planned);
}

void Home::check_cover(const Planned& planned) {
  std::vector<const Box*> boxes;
  boxes.reserve(planned.boxes.size());
  for (const Replicas& replicas : planned.boxes) boxes.push_back(&replicas.box);
  const auto defect = find_defect(planned.tensor.shape, boxes);
  if (!defect) return;
  const auto rank_of = [](const Holder& holder) { return holder.rank; };
  const std::string where = label(planned.tensor) + " of shape " +
                            to_string(planned.tensor.shape) + ": index " + to_string(defect->index);
  if (defect->overlap) {
    const Replicas& a = planned.boxes[defect->overlap->first];
    const Replicas& b = planned.boxes[defect->overlap->second];
    throw Error(ErrorCode::layout,
                where + " is covered twice, by " + describe_box(a.box) + " on " +
                    list_ranks(a.holders, rank_of) + " and " + describe_box(b.box) + " on " +
                    list_ranks(b.holders, rank_of));
  }
  std::vector<std::int32_t> ranks;
  for (const Replicas& replicas : planned.boxes) {
    for (const Holder& holder : replicas.holders) ranks.push_back(holder.rank);
  }
  std::ranges::sort(ranks);
  ranks.erase(std::ranges::unique(ranks).begin(), ranks.end());
  throw Error(ErrorCode::layout,
              where + " is covered by no rank; " +
                  (ranks.empty() ? std::string("nobody holds any of it")
                                 : "of the tensor something is held by " +
                                       list_ranks(ranks, [](std::int32_t rank) { return rank; })));
}

std::vector<TensorInfo> Home::tensors() const {
  std::vector<TensorInfo> tensors;
  tensors.reserve(planned_.size());
  for (const Planned& planned : planned_) tensors.push_back(planned.tensor);
  return tensors;
}

void Home::place(std::span<const std::uint64_t> offsets, std::uint64_t block_bytes) {
  block_bytes_ = block_bytes;
  for (std::size_t i = 0; i < planned_.size(); ++i) {
    Planned& planned = planned_[i];
    planned.offset = offsets[i];
    Slice slice{planned.tensor.shape, {}, {}};
    for (Replicas& replicas : planned.boxes) {
      slice.offset = replicas.box.offset;
      slice.extent = replicas.box.extent;
      replicas.image = image_place(slice, size_of(planned.tensor.dtype), planned.offset);
    }
  }
}

std::vector<Candidate> Home::candidates() const {
  std::vector<Candidate> all;
  for (const Planned& planned : planned_) {
    for (const Replicas& replicas : planned.boxes) {
      const auto& holders = replicas.holders;
      for_each_block(replicas.image, block_bytes_,
                     [&](std::uint64_t block, std::uint64_t first, std::uint64_t last) {
                       const std::size_t shown = std::min(holders.size(), kCandidatesPerBlock);
                       for (std::size_t i = 0; i < shown; ++i) {
                         all.push_back({block, holders[(block + i) % holders.size()].rank,
                                        last - first});
                       }
                     });
    }
  }
  return best_candidates(std::move(all));
}

const Home::Holder& Home::contributor(const Replicas& replicas, std::int32_t owner,
                                      std::uint64_t turn) {
  const auto& holders = replicas.holders;
  const auto at = std::ranges::lower_bound(holders, owner, {}, &Holder::rank);
  if (at != holders.end() && at->rank == owner) return *at;
  return holders[turn % holders.size()];
}

std::vector<std::vector<Share>> Home::shares(const Ownership& ownership, int ranks) const {
  std::vector<std::vector<Share>> shares(static_cast<std::size_t>(ranks));
  for (std::size_t rank = 0; rank < claims_of_rank_.size(); ++rank) {
    shares[rank].resize(claims_of_rank_[rank], {kNoOffset, {}});
  }
  for (const Planned& planned : planned_) {
    for (const Replicas& replicas : planned.boxes) {
      const bool in_one_piece = replicas.image.bytes() < block_bytes_;
      const Holder* chosen = nullptr;
      for_each_block(replicas.image, block_bytes_,
                     [&](std::uint64_t block, std::uint64_t, std::uint64_t) {
                       if (chosen == nullptr || !in_one_piece) {
                         chosen = &contributor(replicas, ownership.owner(block), block);
                       }
                       Share& share = shares[static_cast<std::size_t>(chosen->rank)][chosen->order];
                       share.tensor_offset = planned.offset;
                       append_block(share.blocks, block);
                     });
    }
  }
  return shares;
}

std::vector<std::vector<std::vector<Box>>> Home::box_shares(int ranks,
                                                            std::uint64_t block_bytes) const {
  std::vector<std::vector<std::vector<Box>>> shares(static_cast<std::size_t>(ranks));
  for (std::size_t rank = 0; rank < claims_of_rank_.size(); ++rank) {
    shares[rank].resize(claims_of_rank_[rank]);
  }
  std::size_t turn = 0;  // whose turn it is among replicas
  for (const Planned& planned : planned_) {
    for (const Replicas& replicas : planned.boxes) {
      const auto& holders = replicas.holders;
      for (Box& box : cut_box(replicas.box, size_of(planned.tensor.dtype), holders.size(),
                              block_bytes)) {
        const Holder& holder = holders[holders.size() == 1 ? 0 : turn++ % holders.size()];
        shares[static_cast<std::size_t>(holder.rank)][holder.order].push_back(std::move(box));
      }
    }
  }
  return shares;
}

}  // namespace cairn::plan
