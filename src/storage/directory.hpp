#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cairn/error.hpp"
#include "policy/names.hpp"
#include "storage/record.hpp"
#include "storage/trash.hpp"

namespace cairn::storage {

/// Makes a directory and what is missing above it, each made durable in its parent.
void ensure_directory(const std::filesystem::path& directory);

/// An entry whose name is that of a checkpoint.
struct Found {
  std::filesystem::path path;
  policy::CheckpointName name;
  std::optional<Identity> identity;  ///< what it says of itself, where that can be read
  std::optional<Error> problem;  ///< why it cannot, or why it does not fit the name
  bool is_lone = false;  ///< shards that ranks saved alone; `path` has '*' for the rank
};

/// What is in a directory, by name; nothing where there is no such directory.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& directory);

/// The checkpoints of a directory, by name alone; nothing where there is no such directory.
std::vector<Found> list_checkpoints(const std::filesystem::path& directory);

/// Fills `identity` or `problem` in; needs no key. What does not say what its name says is `damaged`.
void read_identity(Found& found);

/// What a file, or a directory of shards, says of itself; needs no key.
Identity identity_at(const std::filesystem::path& path, bool shards);

/// What a checkpoint of that identity is called, in the kind of `name`. Whether that differs from
/// `name` tells a file that was renamed.
policy::CheckpointName name_of(const Identity& identity, policy::CheckpointName name);

/// Removes an entry in two steps: a rename to a name that no reader looks at, made durable, and
/// then the deletion, which is left to `trash` where there is one. `identity` is whose trash it is.
void remove_checkpoint(const std::filesystem::path& path, const policy::TemporaryName& identity,
                       Trash* trash = nullptr);

/// The same of what another checkpoint replaced, durably: when its name goes matters to nobody, so `trash`
/// makes that durable, too.
void remove_replaced(const std::filesystem::path& path, const policy::TemporaryName& identity,
                     Trash& trash);

/// Renames an entry, durably, to `<name>.damaged`, or with a number behind where that is taken: no
/// name of a checkpoint. Returns the new path.
std::filesystem::path quarantine_checkpoint(const std::filesystem::path& path);

/// Removes a file, or a directory with its files, that no living process of this host holds. Returns
/// whether it is gone.
bool remove_unless_held(const std::filesystem::path& path) noexcept;

/// How the remains of dead jobs are told from the work of living ones.
struct SweepRules {
  policy::TemporaryName identity;  ///< of this process
  std::chrono::seconds stale_after;  ///< for other hosts, whose locks say nothing here
  /// How long to wait for the ranks of a killed job that die late and still hold their locks.
  std::chrono::milliseconds patience{2000};
};

/// Removes temporary files, trash and locks that nobody holds. Returns what it removed.
std::vector<std::filesystem::path> sweep(const std::filesystem::path& directory,
                                         const SweepRules& rules);

}  // namespace cairn::storage
