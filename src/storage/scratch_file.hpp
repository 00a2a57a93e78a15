#pragma once

#include <cstdint>
#include <string>

#include "storage/posix_file.hpp"

namespace cairn::storage {

/// A sparse file in memory that has no name in any directory: nothing of it is left behind, not
/// even by a process that is killed. HDF5 opens it by `path()`.
class ScratchFile {
 public:
  ScratchFile();

  [[nodiscard]] const PosixFile& file() const noexcept { return file_; }
  [[nodiscard]] std::string path() const { return file_.path().string(); }
  /// Whether anything was ever written at or behind `offset`, to the page.
  [[nodiscard]] bool has_data_from(std::uint64_t offset) const;

 private:
  Descriptor fd_;
  PosixFile file_;
};

}  // namespace cairn::storage
