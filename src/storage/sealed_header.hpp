#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "codec/seal.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

inline constexpr std::size_t kHeaderBytes = 4096;

/// The first page of a sealed file, the only part that is not encrypted.
struct SealedHeader {
  EncMode mode = EncMode::aes_gcm;
  /// Where the blocks begin: at the first multiple of their size or, up to format 1.3, right behind
  /// the page, where no block lies as devices and file systems like it.
  std::uint64_t blocks_begin = kHeaderBytes;
  std::uint64_t image_bytes = 0;
  std::uint64_t block_bytes = 0;
  codec::FileId file_id{};
  Identity identity;
  std::uint64_t shard = 0;   ///< r of shard r of n; n for the index of shards
  std::uint64_t shards = 0;  ///< n; 0 outside of shards
  std::string required_features;

  bool operator==(const SealedHeader&) const = default;
};

using HeaderPage = std::array<std::byte, kHeaderBytes>;

HeaderPage encode_header(const SealedHeader& header, const codec::Seal& seal);

/// Checks all that needs no key, but not what the file's length must be. Throws `damaged`, or
/// `mismatch` for what this reader does not know.
SealedHeader decode_header(std::span<const std::byte, kHeaderBytes> page, const std::string& where);

/// Throws `wrong_key` where the header was made with another one.
void check_header_mac(std::span<const std::byte, kHeaderBytes> page, const codec::Seal& seal,
                      const std::string& where);

/// Whether these are the first bytes of a sealed file; more need not be there.
bool begins_sealed(std::span<const std::byte> bytes) noexcept;

/// Where things lie in a sealed file.
struct SealedPlaces {
  explicit SealedPlaces(const SealedHeader& header);

  std::uint64_t blocks_begin;
  std::uint64_t blocks;        ///< how many
  std::uint64_t tag_offset;    ///< of the first tag
  std::uint64_t tags_bytes;    ///< of all tags
  std::uint64_t file_bytes;

  /// Of the image's byte `position`.
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t position) const {
    return blocks_begin + position;
  }
};

/// The bytes of block `number` as it is stored: only the last is short, filled up for the cipher.
std::uint64_t sealed_block_bytes(const SealedHeader& header, std::uint64_t number);

}  // namespace cairn::storage
