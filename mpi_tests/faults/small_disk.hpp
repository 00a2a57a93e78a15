// A file system of 64 MiB of its own, for what must not happen to the machine's.
#pragma once

#include <filesystem>
#include <string>

namespace cairn::faults {

class SmallDisk {
 public:
  enum class Type : bool { tmpfs, ext4 };
  static constexpr std::uint64_t kBytes = std::uint64_t{64} << 20;

  /// Mounts one at `directory`, which is made; beside it, `<directory>.image` for ext4.
  SmallDisk(Type type, std::filesystem::path directory);
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk();

  /// Empty, or why there is none: not root, no loop devices, no mkfs.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  [[nodiscard]] const std::filesystem::path& path() const { return directory_; }
  /// ext4: makes it read-only as the kernel does after an error of the device. False: cannot be
  /// done here.
  [[nodiscard]] bool turn_read_only() const;
  /// Mounts it anew, as after the machine's start. Throws where that cannot be done in time.
  void remount() const;
  /// Fills it to the last byte.
  void fill() const;

 private:
  [[nodiscard]] bool mount() const;

  Type type_;
  std::filesystem::path directory_;
  std::string device_;  ///< of an ext4
  std::string missing_;
};

}  // namespace cairn::faults
