// The lone shards of a directory.
#include <algorithm>
#include <map>

#include "cairn/error.hpp"
#include "storage/lone_shard.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

/// What one file of a set says of itself, where that fits its name.
Identity identity_of(const fs::path& path, const policy::LoneName& name) {
  const Identity identity = identity_at(path, false);
  const policy::CheckpointName expected = policy::breakpoint_of(name);
  const policy::CheckpointName told = name_of(identity, expected);
  if (told == expected) return identity;
  throw Error(ErrorCode::damaged, path.string() + ": it holds a part of the checkpoint " +
                                      policy::stem(told) + ", not of the one it is named for");
}

}  // namespace

std::optional<policy::LoneName> lone_name_of(const fs::path& path) {
  return policy::parse_lone_name(path.filename().string());
}

std::vector<Found> list_lone_sets(const fs::path& directory) {
  std::map<std::string, Found> sets;
  for (const fs::path& path : entries_of(directory)) {
    auto name = lone_name_of(path);
    if (!name || !name->rank) continue;
    policy::LoneName of_set = *name;
    of_set.rank.reset();
    const std::string set = policy::format(of_set);
    Found& found = sets.try_emplace(set, Found{.path = directory / set,
                                               .name = policy::breakpoint_of(*name),
                                               .identity = std::nullopt,
                                               .problem = std::nullopt,
                                               .is_lone = true})
                       .first->second;
    try {
      const Identity identity = identity_of(path, *name);
      if (!found.identity || found.identity->sequence < identity.sequence ||
          (found.identity->sequence == identity.sequence &&
           found.identity->saved_at < identity.saved_at)) {
        found.identity = identity;
      }
    } catch (const Error& error) {
      found.problem = error;
    }
  }
  std::vector<Found> all;
  for (auto& [set, found] : sets) {
    if (found.identity) found.problem.reset();
    all.push_back(std::move(found));
  }
  return all;
}

std::vector<fs::path> lone_files(const fs::path& set) {
  const auto name = lone_name_of(set);
  std::vector<std::pair<std::uint64_t, fs::path>> files;
  for (const fs::path& path : entries_of(set.parent_path())) {
    auto one = lone_name_of(path);
    if (!one || !one->rank) continue;
    const std::uint64_t rank = *one->rank;
    one->rank.reset();
    if (one == name) files.emplace_back(rank, path);
  }
  std::ranges::sort(files);
  std::vector<fs::path> paths;
  for (auto& [rank, path] : files) paths.push_back(std::move(path));
  return paths;
}

}  // namespace cairn::storage
