#include "policy/retention.hpp"

#include <algorithm>
#include <cassert>
#include <map>

#include "policy/elapsed.hpp"

namespace cairn::policy {
namespace {

constexpr std::uint64_t kNsPerMinute = std::uint64_t{60} * 1'000'000'000;

/// A full checkpoint and the increments on it, by their indices, oldest first. Most are alone.
struct Group {
  std::vector<std::size_t> members;
  bool stays = false;  ///< it is protected, or has the newest
};

/// By their oldest members.
std::vector<Group> groups_of(std::span<const Kept> oldest_first) {
  std::vector<Group> groups;
  std::map<std::size_t, std::size_t> place;  // by the chain
  for (std::size_t i = 0; i < oldest_first.size(); ++i) {
    const Kept& kept = oldest_first[i];
    std::size_t at = groups.size();
    if (kept.chain != 0) at = place.emplace(kept.chain, at).first->second;
    if (at == groups.size()) groups.emplace_back();
    Group& group = groups[at];
    group.members.push_back(i);
    group.stays = group.stays || kept.is_protected || i + 1 == oldest_first.size();
  }
  return groups;
}

void append_newest_first(const Group& group, std::vector<std::size_t>& gone) {
  gone.insert(gone.end(), group.members.rbegin(), group.members.rend());
}

std::vector<std::size_t> beyond_max(std::span<const Kept> oldest_first, std::uint64_t most) {
  std::vector<std::size_t> gone;
  for (const Group& group : groups_of(oldest_first)) {
    if (group.stays) continue;
    if (oldest_first.size() - gone.size() < most + group.members.size()) break;
    append_newest_first(group, gone);
  }
  return gone;
}

/// Which stay by the rule alone.
std::vector<bool> stays_by_minutes(std::span<const Kept> oldest_first, std::uint64_t minutes) {
  std::vector<bool> stays(oldest_first.size(), false);
  std::size_t last = 0;
  if (!stays.empty()) stays[0] = true;
  for (std::size_t i = 1; i < oldest_first.size(); ++i) {
    const Kept& kept = oldest_first[i];
    if (elapsed_ns(oldest_first[last].saved_at, kept.saved_at) / kNsPerMinute < minutes) continue;
    stays[i] = true;
    last = i;
  }
  return stays;
}

std::vector<std::size_t> between_minutes(std::span<const Kept> oldest_first,
                                         std::uint64_t minutes) {
  const std::vector<bool> stays = stays_by_minutes(oldest_first, minutes);
  std::vector<std::size_t> gone;
  for (const Group& group : groups_of(oldest_first)) {
    const bool any = std::ranges::any_of(group.members, [&](std::size_t i) { return stays[i]; });
    if (!group.stays && !any) append_newest_first(group, gone);
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
