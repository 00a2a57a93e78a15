#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "storage/posix_file.hpp"

namespace cairn::storage {

/// Where blocks of a checkpoint's space lie: one file, or the bodies of shards one after another.
struct FileRange {
  std::filesystem::path path;
  std::uint64_t first = 0;   ///< byte of the space
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< of `first` in the file
};

/// The open files behind a space, as far as this rank reads them.
class BlockFiles {
 public:
  /// In ascending order of `first`, without gaps.
  explicit BlockFiles(std::vector<FileRange> ranges)
      : ranges_(std::move(ranges)), files_(ranges_.size()) {}

  /// Opens the file that byte `position` lies in, unless it is open.
  void open(std::uint64_t position) {
    const std::size_t i = index(position);
    if (!files_[i]) files_[i] = PosixFile::open_for_reading(ranges_[i].path);
  }
  /// Asks for O_DIRECT on all files that are open; false where one does not take it.
  bool set_direct(bool direct) {
    bool all = true;
    for (auto& file : files_) {
      if (file) all &= file->set_direct(direct) == direct;
    }
    return all;
  }
  /// The open file and the offset of byte `position` in it.
  [[nodiscard]] std::pair<const PosixFile*, std::uint64_t> locate(std::uint64_t position) const {
    const std::size_t i = index(position);
    return {&*files_[i], position - ranges_[i].first + ranges_[i].offset};
  }

 private:
  [[nodiscard]] std::size_t index(std::uint64_t position) const {
    const auto after = std::ranges::upper_bound(ranges_, position, {}, &FileRange::first);
    return static_cast<std::size_t>(after - ranges_.begin()) - 1;
  }

  std::vector<FileRange> ranges_;
  std::vector<std::optional<PosixFile>> files_;
};

}  // namespace cairn::storage
