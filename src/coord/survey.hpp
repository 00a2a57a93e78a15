#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cairn/inspect.hpp"
#include "coord/comm.hpp"
#include "coord/stored.hpp"
#include "storage/protection.hpp"

namespace cairn::coord {

/// A file of a checkpoint whose blocks can be read, and what there is to check them against.
struct SurveyedFile {
  std::filesystem::path path;
  std::uint64_t block_bytes = 0;
  std::uint64_t bytes = 0;   ///< that the blocks have together; only the last may be short
  std::uint64_t offset = 0;  ///< of the first block in the file
  Verified verified = Verified::structure;  ///< how blocks can be
  EncMode enc_mode = EncMode::aes_gcm;      ///< where they are sealed
  SealedSource sealed;                      ///< where they are
  Bytes marks;                              ///< of each block: its CRC (4 bytes), its tag, or nothing

  [[nodiscard]] std::uint64_t blocks() const { return (bytes + block_bytes - 1) / block_bytes; }
};

/// Bytes of a file's blocks that belong to a tensor.
struct SurveyedRange {
  std::uint64_t file = 0;  ///< index into `Survey::files`
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::string tensor;
};

/// The structure of a checkpoint, as far as it is whole.
struct Survey {
  std::filesystem::path path;
  std::vector<SurveyedFile> files;
  std::uint64_t file_count = 0;  ///< those that are not whole too
  bool lone = false;             ///< what ranks saved alone
  // On rank 0 alone.
  std::vector<SurveyedRange> ranges;
  std::vector<Damage> damage;
  std::optional<std::string> misnamed;
};

/// Collective. Reads and checks all structure of the checkpoint at `path` (rank 0's counts); of
/// shards, each rank looks at some. Damage is noted; what is not damage is thrown.
Survey survey(const Comm& comm, const std::filesystem::path& path, const storage::Unlock& unlock);

}  // namespace cairn::coord
