#pragma once

#include <chrono>
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
  /// Throws `invalid_argument` naming host and process where another job holds the series for
  /// longer than `patience`: the ranks of a killed job may die late.
  SeriesLock(const std::filesystem::path& directory, const std::string& series,
             const policy::TemporaryName& holder, std::chrono::milliseconds patience);
  SeriesLock(const SeriesLock&) = delete;
  SeriesLock& operator=(const SeriesLock&) = delete;
  ~SeriesLock();

 private:
  std::filesystem::path path_;
  std::optional<PosixFile> file_;
};

}  // namespace cairn::storage
