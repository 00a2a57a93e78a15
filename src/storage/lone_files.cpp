// The lone shards of a directory.
#include <algorithm>
#include <map>

#include "cairn/error.hpp"
#include "storage/lone_shard.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kReplaced = ".replaced";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// What one file of a set says of itself, where that fits its name.
Identity identity_of(const fs::path& path, const policy::LoneName& name) {
  const Identity identity = identity_at(path, false);
  const policy::CheckpointName expected = policy::breakpoint_of(name);
  const policy::CheckpointName told = name_of(identity, expected);
  if (told == expected) return identity;
  throw Error(ErrorCode::damaged, path.string() + ": it holds a part of the checkpoint " +
                                      policy::stem(told) + ", not of the one it is named for");
}

/// The name of one file, or of the one that `path` stands aside for where that is missing.
std::optional<policy::LoneName> only_name_of(const fs::path& path) {
  if (auto name = lone_name_of(path)) return name;
  fs::path own = path;
  return is_there(own.replace_extension()) ? std::nullopt : replaced_lone_name_of(path);
}

void recover(const fs::path& aside, const policy::LoneName& name,
             const policy::TemporaryName& identity) {
  fs::path own = aside;
  own.replace_extension();
  if (!is_there(own)) {
    rename_entry(aside, own);
    sync_directory(own.parent_path());
    return;
  }
  try {
    static_cast<void>(identity_of(own, name));
  } catch (const Error&) {
    return;  // the one aside may be the better
  }
  remove_checkpoint(aside, identity);
}

}  // namespace

std::optional<policy::LoneName> replaced_lone_name_of(const fs::path& path) {
  const std::string file = path.filename().string();
  if (!file.ends_with(kReplaced)) return std::nullopt;
  auto name = policy::parse_lone_name(
      std::string_view(file).substr(0, file.size() - kReplaced.size()));
  return name && name->rank ? name : std::nullopt;
}

void recover_lone_files(const fs::path& directory,
                        const std::function<bool(const std::string& series)>& is_ours,
                        const policy::TemporaryName& identity) {
  for (const fs::path& path : entries_of(directory)) {
    const auto name = replaced_lone_name_of(path);
    if (name && is_ours(name->series)) recover(path, *name, identity);
  }
}

std::optional<policy::LoneName> lone_name_of(const fs::path& path) {
  return policy::parse_lone_name(path.filename().string());
}

std::vector<Found> list_lone_sets(const fs::path& directory) {
  std::map<std::string, Found> sets;
  for (const fs::path& path : entries_of(directory)) {
    const auto name = only_name_of(path);
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
      if (!found.identity || newness(*found.identity) < newness(identity)) {
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
