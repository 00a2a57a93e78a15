#include "policy/retention.hpp"

#include <algorithm>
#include <cassert>

#include "policy/elapsed.hpp"

namespace cairn::policy {
namespace {

constexpr std::uint64_t kNsPerMinute = std::uint64_t{60} * 1'000'000'000;

std::vector<std::size_t> beyond_max(std::span<const Kept> oldest_first, std::uint64_t most) {
  std::vector<std::size_t> gone;
  for (std::size_t i = 0; i + 1 < oldest_first.size(); ++i) {
    if (oldest_first.size() - gone.size() <= most) break;
    if (!oldest_first[i].is_protected) gone.push_back(i);
  }
  return gone;
}

std::vector<std::size_t> between_minutes(std::span<const Kept> oldest_first,
                                         std::uint64_t minutes) {
  std::vector<std::size_t> gone;
  std::size_t last = 0;
  for (std::size_t i = 1; i + 1 < oldest_first.size(); ++i) {
    const Kept& kept = oldest_first[i];
    if (elapsed_ns(oldest_first[last].saved_at, kept.saved_at) / kNsPerMinute >= minutes) {
      last = i;
    } else if (!kept.is_protected) {
      gone.push_back(i);
    }
  }
  return gone;
}

}  // namespace

std::vector<std::size_t> to_delete(std::span<const Kept> oldest_first,
                                   const CheckpointPolicy& policy) {
  assert(std::ranges::is_sorted(oldest_first, {}, &Kept::sequence));
  const std::int64_t most = policy.keep_checkpoint_max.value();
  const std::int64_t minutes = policy.keep_checkpoint_per_n_minutes.value();
  if (most > 0) return beyond_max(oldest_first, static_cast<std::uint64_t>(most));
  if (minutes > 0) return between_minutes(oldest_first, static_cast<std::uint64_t>(minutes));
  return {};
}

}  // namespace cairn::policy
