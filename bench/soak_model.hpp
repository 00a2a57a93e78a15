#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace bench {

/// What a directory of checkpoints must hold, as it was told by those who saved there.
class SoakModel {
 public:
  SoakModel(std::filesystem::path directory, bool has_checksums)
      : directory_(std::move(directory)), has_checksums_(has_checksums) {}

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  void begun(std::uint64_t sequence);
  void committed(std::uint64_t sequence, const std::filesystem::path& path);
  /// A restore found this one, 0 for none; `right`: with its values. Throws Failure where something
  /// newer was lost, or values are wrong.
  void restored(std::uint64_t sequence, bool right, const std::string& told);
  /// Damages the newest one where an older one is left; false where there is none.
  bool damage(std::mt19937_64& chance);

 private:
  struct Saved {
    std::uint64_t sequence;
    std::filesystem::path path;
    bool damaged = false;
  };

  [[nodiscard]] std::uint64_t newest_whole() const;

  std::filesystem::path directory_;
  bool has_checksums_;  ///< else a flipped bit is not noticed, and nothing promises that
  std::vector<Saved> saved_;  ///< by sequence, upwards
  std::uint64_t last_begun_ = 0;
};

}  // namespace bench
