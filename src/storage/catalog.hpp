#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "policy/names.hpp"

namespace cairn::storage {

/// Where checkpoints of one kind of run may lie: a directory and the prefix used in it.
struct Place {
  std::filesystem::path directory;  ///< relative to the root
  std::string prefix;

  bool operator==(const Place&) const = default;
};

/// The places that runs with a directory or prefix that is a function of the step have used. Kept
/// in the root directory, a line each: directory, tab, prefix. Without such a function there is one
/// place, known beforehand, and no file.
class Catalog {
 public:
  static constexpr const char* kFileName = ".cairn-catalog";

  /// `only`: the one place, where nothing is a function of the step; else the file is read.
  Catalog(std::filesystem::path root, std::optional<Place> only);

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  [[nodiscard]] const std::vector<Place>& places() const noexcept { return places_; }
  /// Makes the place durable in the catalog before anything is written there. What other jobs
  /// entered meanwhile is kept, and known from then on.
  /// Returns the place by the one name that it has here.
  Place add(Place place, const policy::TemporaryName& identity);

 private:
  void read();
  void take(Place place);
  void write(const Place& added, policy::TemporaryName identity) const;

  std::filesystem::path root_;
  bool varies_;
  std::vector<Place> places_;
};

}  // namespace cairn::storage
