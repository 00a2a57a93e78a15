#include "storage/listing.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "storage/catalog.hpp"
#include "storage/directory.hpp"
#include "storage/image_file.hpp"
#include "storage/lone_shard.hpp"
#include "storage/posix_file.hpp"
#include "storage/shard_index.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kQuarantineMark = ".damaged";

std::set<fs::path> directories_of(const fs::path& root) {
  std::set<fs::path> all{root};
  const Catalog catalog(root, std::nullopt);
  for (const Place& place : catalog.places()) {
    if (!place.directory.empty()) all.insert(root / place.directory);
  }
  return all;
}

/// "<a checkpoint's name>.damaged…"
bool is_quarantined(std::string_view name) {
  for (auto at = name.find(kQuarantineMark); at != name.npos;
       at = name.find(kQuarantineMark, at + 1)) {
    if (policy::parse_checkpoint_name(name.substr(0, at))) return true;
  }
  return false;
}

std::optional<Remnant> remnant_of(std::string_view name) {
  if (const auto temporary = policy::parse_temporary_name(name)) {
    return temporary->trash ? Remnant::trash : Remnant::temporary;
  }
  if (is_quarantined(name)) return Remnant::quarantined;
  if (replaced_lone_name_of(name)) return Remnant::replaced;
  return std::nullopt;
}

/// By the end of the name alone.
std::optional<policy::Kind> kind_of(std::string_view name) {
  if (name.starts_with('.')) return std::nullopt;
  for (const policy::Kind kind :
       {policy::Kind::sealed, policy::Kind::file, policy::Kind::shards}) {
    if (name.ends_with(policy::suffix(kind))) return kind;
  }
  return std::nullopt;
}

void read_into(Listed& listed) {
  const bool shards = listed.kind == policy::Kind::shards;
  listed.sealed = listed.kind == policy::Kind::sealed;  // by its name, where there is no more to see
  try {
    const fs::path file = shards ? index_path(listed.path) : listed.path;
    listed.sealed = kind_of(file.filename().string()) == policy::Kind::sealed;
    listed.sealed = is_sealed(PosixFile::open_for_reading(file));
    listed.identity = identity_at(listed.path, shards);
  } catch (const Error& error) {
    listed.problem = error;
  }
}

/// What one of a set says of itself, where that fits its name.
Identity lone_identity(const fs::path& file, const policy::CheckpointName& name) {
  const Identity identity = identity_at(file, false);
  const policy::CheckpointName told = name_of(identity, name);
  if (told == name) return identity;
  throw Error(ErrorCode::damaged, file.string() + ": it holds a part of the checkpoint " +
                                      policy::stem(told) + ", not of the one it is named for");
}

Listed look_at_lone(const fs::path& path, const policy::LoneName& name) {
  Listed listed;
  listed.path = path;
  listed.name = policy::breakpoint_of(name);
  listed.sealed = name.sealed;
  listed.lone = name;
  listed.lone_files = name.rank ? std::vector{path} : lone_files(path);
  for (const fs::path& file : listed.lone_files) {
    try {
      const Identity identity = lone_identity(file, *listed.name);
      if (!listed.identity || newness(*listed.identity) < newness(identity)) {
        listed.identity = identity;
      }
    } catch (const Error& error) {
      if (!listed.problem) listed.problem = error;
    }
  }
  if (listed.lone_files.empty()) {
    listed.problem.emplace(ErrorCode::not_found, path.string() + ": there is no such file");
  }
  return listed;
}

/// Something that may be a checkpoint. Without the name of one it is one only if it says so.
std::optional<Listed> candidate(const fs::path& path) {
  const std::string file_name = path.filename().string();
  Listed listed;
  listed.path = path;
  listed.name = policy::parse_checkpoint_name(file_name);
  const auto kind = listed.name ? std::optional(listed.name->kind) : kind_of(file_name);
  if (!kind) return std::nullopt;
  listed.kind = *kind;
  read_into(listed);
  if (!listed.name && !listed.identity) return std::nullopt;
  return listed;
}

void look_into(const fs::path& directory, DirectoryListing& listing) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    paths.push_back(at->path());
  }
  if (error) throw_io_error(error.value(), "list the directory", directory);
  std::ranges::sort(paths);
  std::set<std::string> lone_sets;
  for (const fs::path& path : paths) {
    if (auto lone = lone_name_of(path); lone && lone->rank) {
      lone->rank.reset();
      lone_sets.insert(policy::format(*lone));
    } else if (const auto remnant = remnant_of(path.filename().string())) {
      listing.remnants.push_back({path, *remnant});
    } else if (auto found = candidate(path)) {
      listing.checkpoints.push_back(std::move(*found));
    }
  }
  for (const std::string& set : lone_sets) {
    listing.checkpoints.push_back(look_at_one(directory / set));
  }
}

/// What stands aside counts only as long as nothing else bears its name: a crash may have left it
/// the only one.
void set_replaced_apart(DirectoryListing& listing) {
  const auto stands_in = [&](const Listed& old) {
    return std::ranges::none_of(listing.checkpoints, [&](const Listed& other) {
      return other.name && !other.lone && !other.name->replaced &&
             other.path.parent_path() == old.path.parent_path() &&
             policy::stem(*other.name) == policy::stem(*old.name);
    });
  };
  std::vector<Listed> kept;
  for (const Listed& listed : listing.checkpoints) {
    if (listed.name && listed.name->replaced && !stands_in(listed)) {
      listing.remnants.push_back({listed.path, Remnant::replaced});
    } else {
      kept.push_back(listed);
    }
  }
  listing.checkpoints = std::move(kept);
}

}  // namespace

DirectoryListing look_at(const fs::path& root) {
  DirectoryListing listing;
  look_into(root, listing);
  for (const fs::path& directory : directories_of(root)) {
    std::error_code error;
    if (directory == root || !fs::exists(directory, error)) continue;
    look_into(directory, listing);
  }
  set_replaced_apart(listing);
  std::ranges::sort(listing.remnants, {}, &ListedRemnant::path);
  return listing;
}

Listed look_at_one(const fs::path& path) {
  if (const auto lone = lone_name_of(path)) return look_at_lone(path, *lone);
  std::error_code error;
  const std::string file_name = (path.has_filename() ? path : path.parent_path()).filename().string();
  Listed listed;
  listed.path = path;
  listed.name = policy::parse_checkpoint_name(file_name);
  const bool sealed = file_name.ends_with(policy::suffix(policy::Kind::sealed));
  listed.kind = fs::is_directory(path, error) ? policy::Kind::shards
                : sealed                      ? policy::Kind::sealed
                                              : policy::Kind::file;
  read_into(listed);
  return listed;
}

std::optional<std::string> misnaming(const Listed& listed) {
  if (!listed.name || !listed.identity || listed.lone) return std::nullopt;
  if (listed.identity->series.empty()) {  // made by `save`, under a name of a series
    return "a checkpoint of no series, step " + std::to_string(listed.identity->step);
  }
  policy::CheckpointName told = name_of(*listed.identity, *listed.name);
  if (told == *listed.name) return std::nullopt;
  told.replaced = false;
  return policy::format(told);
}

std::uint64_t bytes_on_disk(const fs::path& path) noexcept {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const auto bytes = fs::file_size(path, error);
    return error ? 0 : bytes;
  }
  std::uint64_t sum = 0;
  // Not by std::filesystem, whose iterator ends the process where there is no memory.
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) return 0;
  while (const dirent* const entry = ::readdir(directory)) {
    struct stat info {};
    const bool is_seen = ::fstatat(::dirfd(directory), entry->d_name, &info, 0) == 0;
    if (is_seen && S_ISREG(info.st_mode)) sum += static_cast<std::uint64_t>(info.st_size);
  }
  ::closedir(directory);
  return sum;
}

std::uint64_t bytes_on_disk(const Listed& listed) noexcept {
  if (!listed.lone) return bytes_on_disk(listed.path);
  std::uint64_t sum = 0;
  for (const fs::path& file : listed.lone_files) sum += bytes_on_disk(file);
  return sum;
}

}  // namespace cairn::storage
