#include "storage/directory.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <string_view>
#include <thread>

#include "storage/image.hpp"
#include "storage/posix_file.hpp"
#include "storage/shard_index.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void rethrow(const fs::filesystem_error& error, const std::string& verb) {
  throw_io_error(error.code().value(), verb, error.path1());
}

enum class Verdict { keep, ask_again, remove };

void remove_tree(const fs::path& path) {
  try {
    fs::remove_all(path);
  } catch (const fs::filesystem_error& error) {
    rethrow(error, "remove");
  }
}

bool is_older_than(const fs::path& path, std::chrono::seconds age) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  return !error && fs::file_time_type::clock::now() - written > age;
}

/// Of an entry that is no concern of this host's locks.
Verdict judge_foreign(const fs::path& path, const policy::TemporaryName& name,
                      const SweepRules& rules) {
  const bool same_job = !name.job.empty() && name.job == policy::sanitised(rules.identity.job);
  return same_job || is_older_than(path, rules.stale_after) ? Verdict::remove : Verdict::keep;
}

/// Removes what may go. `ask_again`: held now, perhaps by a rank that is about to die.
Verdict sweep_entry(const fs::path& path, const SweepRules& rules) {
  const std::string name = path.filename().string();
  if (const auto temporary = policy::parse_temporary_name(name)) {
    Verdict verdict = Verdict::remove;  // to finish a deletion harms nobody
    if (!temporary->trash) {
      if (temporary->host == policy::sanitised(rules.identity.host)) {
        return remove_unless_held(path) ? Verdict::remove : Verdict::ask_again;
      }
      verdict = judge_foreign(path, *temporary, rules);
    }
    std::error_code failed;  // another job may be at it, or have the right to it alone
    if (verdict == Verdict::remove) fs::remove_all(path, failed);
    return failed ? Verdict::keep : verdict;
  }
  if (policy::parse_lock_name(name) && remove_unless_held(path)) return Verdict::remove;
  return Verdict::keep;
}

/// Gives `path` a name that no reader looks at, and returns that.
fs::path rename_to_trash(const fs::path& path, policy::TemporaryName identity) {
  identity.trash = true;
  identity.final_name = path.filename().string();
  const fs::path aside = path.parent_path() / policy::format(identity);
  std::error_code ignored;
  fs::remove_all(aside, ignored);  // an earlier deletion of ours that did not end
  rename_entry(path, aside);
  return aside;
}

/// The file itself, or the files in a directory of shards.
std::vector<fs::path> files_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(path, error))) return {path};
  return entries_of(path);
}

}  // namespace

std::vector<fs::path> entries_of(const fs::path& directory) {
  // Not by std::filesystem, whose iterator ends the process where there is no memory.
  const std::unique_ptr<DIR, decltype([](DIR* open) { ::closedir(open); })> open(
      ::opendir(directory.empty() ? "." : directory.c_str()));
  if (!open && errno == ENOENT) return {};
  if (!open) throw_io_error(errno, "list the directory", directory);
  std::vector<fs::path> paths;
  errno = 0;
  while (const dirent* const entry = ::readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") paths.push_back(directory / name);
    errno = 0;
  }
  if (errno != 0) throw_io_error(errno, "list the directory", directory);
  std::ranges::sort(paths);
  return paths;
}

bool remove_unless_held(const fs::path& path) noexcept {
  try {
    // Removed while it is held: who made it and has not locked it yet finds it gone then. Where the
    // name went to another file meanwhile, that one is not held here.
    std::vector<PosixFile> held;
    for (const fs::path& file : files_of(path)) {
      held.push_back(PosixFile::open_for_writing(file));
      if (!held.back().try_lock_exclusive() || !held.back().is_at_its_path()) return false;
    }
    remove_tree(path);
    return true;
  } catch (const Error& error) {
    return error.code() == ErrorCode::not_found;
  } catch (const std::exception&) {  // no memory to look
    return false;
  }
}

void ensure_directory(const fs::path& directory) {
  if (directory.empty()) return;
  std::error_code error;
  if (fs::is_directory(directory, error)) return;
  const fs::path parent = directory.parent_path();
  if (parent != directory) ensure_directory(parent);
  if (::mkdir(directory.c_str(), 0777) != 0) {
    if (errno == EEXIST && fs::is_directory(directory, error)) return;
    throw_io_error(errno, "make the directory", directory, ErrorCode::io);
  }
  sync_directory(parent);
}

std::vector<Found> list_checkpoints(const fs::path& directory) {
  std::vector<Found> found;
  for (const fs::path& path : entries_of(directory)) {
    if (auto name = policy::parse_checkpoint_name(path.filename().string())) {
      found.push_back({path, std::move(*name), std::nullopt, std::nullopt, false});
    }
  }
  return found;
}

Identity identity_at(const fs::path& path, bool shards) {
  std::error_code ignored;
  if (shards && fs::is_regular_file(path, ignored)) {
    throw Error(ErrorCode::damaged, path.string() + " is a file, not a directory of shards");
  }
  PosixFile file = PosixFile::open_for_reading(shards ? index_path(path) : path);
  if (is_sealed(file)) return read_sealed_header(file).identity;
  return read_record(ImageFile(std::move(file)));
}

policy::CheckpointName name_of(const Identity& identity, policy::CheckpointName name) {
  name.series = identity.series;
  name.epoch = identity.epoch;
  name.step_in_epoch = identity.step_in_epoch;
  name.breakpoint = identity.kind == CheckpointKind::breakpoint;
  return name;
}

void read_identity(Found& found) {
  try {
    const Identity identity = identity_at(found.path, found.name.kind == policy::Kind::shards);
    const policy::CheckpointName told = name_of(identity, found.name);
    if (told != found.name) {
      throw Error(ErrorCode::damaged, found.path.string() + " holds the checkpoint " +
                                          policy::format(told) + ", not the one it is named for");
    }
    found.identity = identity;
  } catch (const Error& error) {
    found.problem = error;
  }
}

void remove_checkpoint(const fs::path& path, const policy::TemporaryName& identity, Trash* trash) {
  const fs::path aside = rename_to_trash(path, identity);
  sync_directory(path.parent_path());
  if (trash != nullptr) {
    trash->put(aside);
  } else {
    remove_tree(aside);
  }
}

void remove_replaced(const fs::path& path, const policy::TemporaryName& identity, Trash& trash) {
  trash.put(rename_to_trash(path, identity));
}

fs::path quarantine_checkpoint(const fs::path& path) {
  for (unsigned n = 0;; ++n) {
    fs::path aside = path;
    aside += n == 0 ? ".damaged" : ".damaged." + std::to_string(n);
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(aside, ignored))) continue;
    rename_entry(path, aside);
    sync_directory(path.parent_path());
    return aside;
  }
}

std::vector<fs::path> sweep(const fs::path& directory, const SweepRules& rules) {
  constexpr std::chrono::milliseconds kBetweenLooks{20};
  const auto end = std::chrono::steady_clock::now() + rules.patience;
  std::vector<fs::path> removed;
  std::vector<fs::path> open = entries_of(directory);
  while (!open.empty()) {
    std::vector<fs::path> again;
    for (const fs::path& path : open) {
      const Verdict verdict = sweep_entry(path, rules);
      if (verdict == Verdict::ask_again) again.push_back(path);
      if (verdict == Verdict::remove) removed.push_back(path);
    }
    open = std::move(again);
    if (std::chrono::steady_clock::now() >= end) break;
    if (!open.empty()) std::this_thread::sleep_for(kBetweenLooks);
  }
  return removed;
}

}  // namespace cairn::storage
