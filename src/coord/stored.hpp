#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "cairn/save.hpp"
#include "codec/seal.hpp"
#include "coord/comm.hpp"
#include "storage/block_files.hpp"
#include "storage/protection.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// A box of a tensor that lies in one piece, row-major, from byte `place` of the space on.
struct StoredPiece {
  Box box;
  std::uint64_t place;
};

/// What opens the blocks of one sealed file, beside the key.
struct SealedSource {
  codec::FileId id{};
  codec::Digest header{};  ///< digest of the header
  std::uint64_t begin = 0;  ///< of block 0 in the file
};

/// What a checkpoint holds and where, as every rank knows it: one image, or shards. Its values lie
/// in one space of blocks: the body of the image, or those of the shards one after another.
struct Stored {
  std::filesystem::path path;
  storage::Identity identity;
  std::uint64_t block_bytes = 0;
  std::uint64_t block_count = 0;
  std::vector<storage::FileRange> files;
  Verified verified = Verified::structure;  ///< how blocks can be
  EncMode enc_mode = EncMode::aes_gcm;      ///< where they are sealed
  std::vector<SealedSource> sealed;         ///< by file, where they are
  Bytes marks;                              ///< of each block: its CRC (4 bytes), its tag, or nothing
  std::vector<TensorInfo> tensors;               ///< in the order of their keys
  std::vector<std::vector<StoredPiece>> pieces;  ///< of each tensor; they cover it exactly once
};

/// Collective. Reads and checks all structure of the checkpoint at `path` (rank 0's counts); of
/// shards, each rank looks at some. Throws `damaged` naming file and place; `wrong_key` and
/// `mismatch` where `unlock` does not fit it.
Stored open_stored(const Comm& comm, const std::filesystem::path& path,
                   const storage::Unlock& unlock);

/// The names of tensors that have bytes in [begin, end) of the space.
std::vector<std::string> tensors_within(const Stored& stored, std::uint64_t begin,
                                        std::uint64_t end);

}  // namespace cairn::coord
