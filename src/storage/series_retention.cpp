// Which checkpoints of a series may go, and how they do: an increment never outlives what it goes back to.
#include <algorithm>
#include <set>

#include "storage/series.hpp"

namespace cairn::storage {

namespace fs = std::filesystem;

/// By digest, the full one that each member is, or goes back to, as the place of that among the
/// members: sequence numbers may repeat, by files that were moved away and back. An increment of which
/// something before it is missing has none.
std::map<codec::Digest, std::size_t> Series::roots() const {
  std::map<codec::Digest, std::size_t> roots;
  for (std::size_t i = 0; i < members_.size(); ++i) {  // what others are on has a lower number
    const Chain& chain = members_[i].identity.chain;
    if (!chain.is_increment()) {
      roots.emplace(members_[i].digest, i);
    } else if (const auto parent = roots.find(chain.parent_digest); parent != roots.end()) {
      roots.emplace(members_[i].digest, parent->second);
    }
  }
  return roots;
}

/// An increment of which something before it is missing is damaged: it does not count, and does not
/// make others go.
std::vector<fs::path> Series::to_delete(const CheckpointPolicy& policy) const {
  std::vector<policy::Kept> kept;
  std::vector<std::size_t> of_member;
  const auto roots = this->roots();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto root = roots.find(members_[i].digest);
    if (root == roots.end() || members_[i].breakpoint) continue;
    const Identity& identity = members_[i].identity;
    kept.push_back({identity.sequence, identity.saved_at, protected_ == members_[i].path,
                    root->second + 1});
    of_member.push_back(i);
  }
  std::vector<fs::path> paths;
  for (const std::size_t i : policy::to_delete(kept, policy)) {
    paths.push_back(members_[of_member[i]].path);
  }
  return paths;
}

void Series::retain(const CheckpointPolicy& policy, Trash* trash,
                    const std::function<void(const fs::path&)>& deleted,
                    const std::function<void(const fs::path&, const Error&)>& failed) {
  std::set<fs::path> gone;
  std::set<std::size_t> needed;  // by increments that could not be deleted
  const auto roots = this->roots();
  const auto root_of = [&](const fs::path& path) {
    return roots.at(std::ranges::find(members_, path, &Member::path)->digest);
  };
  for (const fs::path& path : to_delete(policy)) {
    if (needed.contains(root_of(path))) continue;
    try {
      remove_checkpoint(path, rules_.identity, trash);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) {
        failed(path, error);
        needed.insert(root_of(path));
        continue;
      }
    }
    gone.insert(path);
    deleted(path);
  }
  std::erase_if(members_, [&](const Member& member) { return gone.contains(member.path); });
}

std::vector<fs::path> Series::drop_oldest() {
  const auto kept = static_cast<std::int64_t>(
      std::ranges::count(members_, false, &Member::breakpoint));
  if (kept < 2) return {};
  std::vector<fs::path> dropped;  // the oldest, or the oldest chain
  for (std::int64_t most = kept - 1; most > 0 && dropped.empty(); --most) {
    for (const fs::path& path : to_delete({.save_checkpoint_steps = none,
                                           .save_checkpoint_seconds = none,
                                           .keep_checkpoint_max = most,
                                           .keep_checkpoint_per_n_minutes = none})) {
      try {
        remove_checkpoint(path, rules_.identity);
        dropped.push_back(path);
      } catch (const Error& error) {  // gone by other hands: that made no room
        if (error.code() != ErrorCode::not_found) throw;
      }
      std::erase_if(members_, [&](const Member& member) { return member.path == path; });
    }
  }
  return dropped;
}

}  // namespace cairn::storage
