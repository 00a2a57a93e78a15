#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cairn/error.hpp"
#include "policy/names.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

/// A checkpoint in a directory, as who only looks sees it.
struct Listed {
  std::filesystem::path path;
  policy::Kind kind{};
  std::optional<policy::CheckpointName> name;  ///< nothing: not one of a series
  bool sealed = false;
  std::optional<Identity> identity;            ///< what it says of itself
  std::optional<Error> problem;                ///< why it does not
  /// Of what ranks saved alone: what they are named for, and the files that are there, by rank. Both
  /// `identity`, of the newest of them, and `problem`, of the first that has one, may be there then.
  std::optional<policy::LoneName> lone;
  std::vector<std::filesystem::path> lone_files;
};

/// What a directory entry is that is no checkpoint, or none any more.
enum class Remnant : std::uint8_t { temporary, trash, replaced, quarantined };

struct ListedRemnant {
  std::filesystem::path path;
  Remnant remnant{};
};

struct DirectoryListing {
  std::vector<Listed> checkpoints;
  std::vector<ListedRemnant> remnants;
};

/// Looks at `root` and at the directories of its catalog, and changes nothing. Other files than
/// Cairn's are passed over in silence.
DirectoryListing look_at(const std::filesystem::path& root);

/// The entry at `path`, whatever its name; or the files that `path` stands for, a set's.
Listed look_at_one(const std::filesystem::path& path);

/// What the name should be, where it says something else than the checkpoint.
std::optional<std::string> misnaming(const Listed& listed);

/// Of a file, or of all files in a directory of shards; what cannot be asked counts nothing.
std::uint64_t bytes_on_disk(const std::filesystem::path& path) noexcept;
/// Of all that it is.
std::uint64_t bytes_on_disk(const Listed& listed) noexcept;

}  // namespace cairn::storage
