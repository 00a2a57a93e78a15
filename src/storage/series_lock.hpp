#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "policy/names.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {

/// Held by rank 0 while its run uses a series. The file goes with the lock; after a crash it stays,
/// held by nobody.
class SeriesLock {
 public:
  /// Throws `invalid_argument` naming host and process where another job holds the series.
  SeriesLock(const std::filesystem::path& directory, const std::string& series,
             const policy::TemporaryName& holder);
  SeriesLock(const SeriesLock&) = delete;
  SeriesLock& operator=(const SeriesLock&) = delete;
  ~SeriesLock();

 private:
  std::filesystem::path path_;
  std::optional<PosixFile> file_;
};

}  // namespace cairn::storage
