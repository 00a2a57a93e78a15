#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "contestant.hpp"
#include "mapping.hpp"

namespace bench {

/// How a rank asks the device: so many bytes a request, so many requests under way.
struct RawManner {
  std::size_t request_bytes = 0;
  int requests = 0;
  bool direct = true;  ///< O_DIRECT; false where the file system has none, or is in memory
};

/// The limits: each rank writes its share of so many bytes into a file of its own, from aligned
/// memory that is kept, and syncs it; or reads it. No gathering, no format, no commit. What is not
/// direct is copied by the system: then all ranks copy their shares into one file, or out of it.
class RawDevice {
 public:
  /// `yes`: each rank copies its share into that memory before it writes, or out of it after it read,
  /// as every program must whose tensors lie where they like.
  enum class Copies : bool { no, yes };

  /// Collective. Tries manners in a warm-up and keeps the fastest one.
  RawDevice(const World& world, std::filesystem::path directory, std::uint64_t bytes_of_all,
            Pages pages);
  RawDevice(const RawDevice&) = delete;
  RawDevice& operator=(const RawDevice&) = delete;

  [[nodiscard]] const RawManner& manner() const noexcept { return manner_; }

  /// Collective.
  std::unique_ptr<Contestant> writing(Copies copies = Copies::no);
  /// Collective. Of a file that is written for it.
  std::unique_ptr<Contestant> reading(Copies copies = Copies::no);

 private:
  class Writing;
  class Reading;
  enum class Direction : bool { read, write };

  void find_out_whether_direct();
  void choose();
  [[nodiscard]] std::filesystem::path path(const char* what) const;
  std::byte* values_for(Copies copies);
  Sample write(const std::filesystem::path& path, std::byte* values = nullptr);
  Sample read(const std::filesystem::path& path, std::byte* values = nullptr);
  [[nodiscard]] bool move(int file, Direction direction, std::byte* values) const;
  [[nodiscard]] bool move_part(int file, Direction direction, int part, std::byte* values) const;
  /// Where this rank's share begins in its file.
  [[nodiscard]] std::uint64_t origin() const;

  const World& world_;
  std::filesystem::path directory_;
  std::uint64_t share_;  ///< of this rank, in bytes; a multiple of 4096
  RawManner manner_;
  Pages pages_;
  Mapping buffer_;
  Mapping values_;  ///< a share, where one is copied
};

}  // namespace bench
