#pragma once

#include <cstdint>
#include <filesystem>

#include "base/wire.hpp"
#include "cairn/save.hpp"
#include "coord/stored.hpp"
#include "storage/image.hpp"

namespace cairn::coord {

/// One file with an image in it, as a part of the space of blocks.
struct SeenFile {
  std::uint64_t block_bytes = 0;
  std::uint64_t body_offset = 0;  ///< in the file
  std::uint64_t body_bytes = 0;
  Verified verified = Verified::structure;
  EncMode enc_mode = EncMode::aes_gcm;
  SealedSource sealed;
  Bytes marks;  ///< of the body's blocks
};

/// Local. What of an open file matters to who reads its blocks.
SeenFile look_at_file(const storage::ImageFile& file, const storage::ImageIndex& index);

void put_seen(WireWriter& writer, const SeenFile& seen);
SeenFile get_seen_file(WireReader& reader);

/// Makes a file the next part of the space of blocks. All parts are protected alike and have one
/// block size: throws `damaged` where this one differs.
void append_file(Stored& stored, const std::filesystem::path& path, const SeenFile& seen);

/// Throws `mismatch` where CRCs are asked for that `record` says are not there.
void check_crc_is_there(const std::filesystem::path& path, const storage::Record& record,
                        const storage::Unlock& unlock);

}  // namespace cairn::coord
