// How a checkpoint becomes visible
// --------------------------------
// (1) Rank 0 makes a temporary file of the final length in the directory of the final name.
// (2) All ranks write their blocks into it.
// (3) Every writer syncs its own descriptor. A sync that failed is never tried again.
// (4) All ranks agree that all of that worked.
// (5) Rank 0 writes head and tail, and syncs. Where it needs nothing for that of what other ranks
//     wrote (neither CRCs nor tags), and all writes are its own, it does so before its (3) instead:
//     one sync is for both.
// (6) The directories that were made for it are durable in their parents.
// (7) What bears the final name, in any kind, steps aside to `<name>.replaced`; the temporary file
//     is renamed to the final name.
// (8) The directory is synced.
// (9) All ranks learn the outcome. Only then is the checkpoint anybody's newest.
// (10) What stepped aside is deleted, and retention may run.
//
// (1), (6), (7), (8) and the deletion of (10) are here; coord/saver.cpp runs all ten in order.
//
//   absent ──(1)──▶ temporary ──(7)──▶ published ──(8)──▶ durable
//                      │                   │
//                      ▼ any failure       ▼ (8) failed
//                    gone                renamed back, or "unknown"
//
// Invariants, each with tests that name it in mpi_tests/storage/commit_test.cpp
//
// I1. What bears a final name is complete and durable.
// I2. At every moment a name that had a complete checkpoint has one: under the name itself or under
//     `<name>.replaced`.
// I3. A failed attempt leaves the directory as it was.
// I4. A temporary file in use is held by a lock; one that nobody holds may be removed by anybody.
//     Except: while MPI-IO writes it nobody holds it, since MPI-IO may want the lock for itself and
//     waits for it for ever. Before (5) it is held again, or found to be removed.
// I5. A deletion begins with a durable rename to a name that no reader looks at.
#include "storage/commit.hpp"

#include <optional>
#include <exception>
#include <system_error>
#include <utility>

#include "cairn/error.hpp"
#include "storage/directory.hpp"
#include "storage/shard_index.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReplaced = ".replaced";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// Whether a directory is a checkpoint in shards, whatever it is called.
bool holds_shards(const fs::path& directory) {
  try {
    static_cast<void>(identity_at(directory, true));
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Throws where `path` bears something that this library never gave that name.
void refuse_foreign(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(path, ignored);
  if (!fs::exists(status)) return;
  const auto name = policy::parse_checkpoint_name(path.filename().string());
  if (name && fs::is_symlink(status)) return;  // the link steps aside, not what it leads to
  const bool is_shards = name && name->kind == policy::Kind::shards;
  if (is_shards ? fs::is_directory(status) : fs::is_regular_file(status)) return;
  if (!name && fs::is_directory(status) && holds_shards(path)) return;
  throw Error(ErrorCode::invalid_argument, path.string() + " is not a " +
                                               (is_shards ? "directory" : "regular file") +
                                               "; it is not replaced");
}

/// The longest of the names that derive from `name` must be one that a file can have.
void check_length(const std::string& name, policy::TemporaryName identity) {
  identity.trash = true;
  identity.final_name = name + kReplaced;
  const std::size_t derived = policy::format(identity).size();
  if (derived <= policy::kMaxFileNameBytes) return;
  const std::size_t excess = derived - policy::kMaxFileNameBytes;
  throw Error(ErrorCode::invalid_argument,
              "\"" + name + "\" has " + std::to_string(name.size()) +
                  " bytes and is too long by " + std::to_string(excess) +
                  ": the temporary names that derive from it must have " +
                  std::to_string(policy::kMaxFileNameBytes) + " bytes at most");
}

}  // namespace

Commit::Commit(fs::path final_path, policy::TemporaryName identity, bool durable)
    : final_(std::move(final_path)), identity_(std::move(identity)), durable_(durable) {
  const std::string name = final_.filename().string();
  if (name.empty() || name == "." || name == "..") {
    throw Error(ErrorCode::invalid_argument,
                "\"" + final_.string() + "\" does not name a checkpoint file");
  }
  check_length(name, identity_);
  for (const fs::path& path : kinds_of_name()) refuse_foreign(path);
  identity_.trash = false;
  identity_.final_name = name;
  temporary_ = final_.parent_path() / policy::format(identity_);
}

Commit::~Commit() {
  if (!created_) return;
  try {
    fs::remove_all(temporary_);
  } catch (const std::exception&) {
    // What is left is held by nobody (I4).
  }
}

template <class Make>
PosixFile Commit::create_held(Make&& make) {
  ensure_directory(final_.parent_path());  // (6)
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    // An attempt that was given up, or a dead process with our number, may have left one.
    remove_unless_held(temporary_);
    std::optional<PosixFile> file = make();
    // Between creation and lock a sweep of another job may find a file that nobody holds.
    created_ = file && file->try_lock_shared() && file->is_at_its_path();
    if (created_) return *std::move(file);
  }
  throw Error(ErrorCode::io, temporary_.string() + " is removed by somebody as often as it is made");
}

PosixFile Commit::create() {
  return create_held([&] { return std::optional(PosixFile::create(temporary_)); });
}

PosixFile Commit::create_directory(const std::string& file_name) {
  return create_held([&]() -> std::optional<PosixFile> {
    ensure_directory(temporary_);
    try {
      return PosixFile::create(temporary_ / file_name);
    } catch (const Error&) {
      if (is_there(temporary_)) throw;
      return std::nullopt;  // swept while it was empty
    }
  });
}

void Commit::publish() {
  try {
    displace();
    rename_entry(temporary_, final_);  // (7)
  } catch (const Error& error) {
    throw Error(error.code(), error.what() + put_back());
  }
  try {
    sync_parent();  // (8)
  } catch (const Error& error) {
    std::error_code failed;
    fs::rename(final_, temporary_, failed);
    if (failed) {
      created_ = false;
      throw Error(error.code(), std::string(error.what()) +
                                    "; whether the checkpoint is durable is not known");
    }
    throw Error(error.code(), error.what() + put_back());
  }
  created_ = false;
}

std::vector<fs::path> Commit::kinds_of_name() const {
  auto name = policy::parse_checkpoint_name(final_.filename().string());
  if (!name) return {final_};
  std::vector<fs::path> paths;
  for (const auto kind : {policy::Kind::file, policy::Kind::sealed, policy::Kind::shards}) {
    name->kind = kind;
    paths.push_back(final_.parent_path() / policy::format(*name));
  }
  return paths;
}

void Commit::displace() {
  for (const fs::path& path : kinds_of_name()) {
    if (!is_there(path)) continue;
    fs::path aside = path;
    aside += kReplaced;
    // Something older may stand there since a crash; what stands at `path` is newer and complete.
    std::error_code ignored;
    if (fs::is_directory(aside, ignored)) remove_checkpoint(aside, identity_);
    rename_entry(path, aside);
    displaced_.push_back({path, aside});
  }
}

std::string Commit::put_back() {
  std::string left;
  for (const Displaced& entry : displaced_) {
    std::error_code failed;
    fs::rename(entry.to, entry.from, failed);
    if (failed) left += "; what was there is " + entry.to.string() + " now";
  }
  displaced_.clear();
  return left;
}

void Commit::sync_parent() const {
  if (durable_) sync_directory(final_.parent_path());
}

void Commit::discard_replaced(Trash* trash) noexcept {  // (10)
  // The new one is published. What is left is older, good, and counted by retention.
  try {
    for (fs::path aside : kinds_of_name()) {
      aside += kReplaced;
      if (!is_there(aside)) continue;
      try {
        if (trash != nullptr) {
          remove_replaced(aside, identity_, *trash);
        } else {
          remove_checkpoint(aside, identity_);
        }
      } catch (const Error&) {
      }
    }
  } catch (const std::exception&) {
  }
}

}  // namespace cairn::storage
