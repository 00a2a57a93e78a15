#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cairn/options.hpp"
#include "codec/sha256.hpp"

namespace cairn::storage {

inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 4;
// Of images, in which nothing is newer.
inline constexpr std::uint16_t kMinorWithMaps = 3;
inline constexpr std::uint16_t kMinorWithoutMaps = 2;

/// Bytes of the record: the last ones of every image.
inline constexpr std::size_t kRecordBytes = 4096;

enum class CheckpointKind : std::uint8_t { periodic = 0, breakpoint = 1 };

/// The place of a checkpoint with MapParameters among those that belong together: a full one, and the
/// increments on top of it.
struct Chain {
  std::uint64_t base = 0;      ///< sequence number of the full one; 0 where this is one
  std::uint32_t position = 0;  ///< counts the increments from 1; 0: full
  std::uint64_t map_bytes = 0;  ///< of this checkpoint's entries
  std::string parent;  ///< where the one before it is, from this one's directory; empty in a full one
  codec::Digest parent_digest{};  ///< `digest_of` what the one before it says of itself

  [[nodiscard]] bool is_increment() const noexcept { return position > 0; }

  bool operator==(const Chain&) const = default;
};

/// What a checkpoint is of.
struct Identity {
  std::uint64_t step = 0;
  std::uint64_t epoch = 0;
  std::uint64_t step_in_epoch = 0;
  std::uint64_t steps_per_epoch = 0;
  std::uint64_t sequence = 0;
  Time saved_at{};
  CheckpointKind kind = CheckpointKind::periodic;
  RunId run_id{};
  std::string series;  ///< empty: saved outside of a series
  Chain chain{};

  bool operator==(const Identity&) const = default;
};

/// What is newer is greater. Only what ranks saved alone may have one sequence number twice.
inline std::pair<std::uint64_t, Time> newness(const Identity& identity) {
  return {identity.sequence, identity.saved_at};
}

/// Words of `Record::required_features`: there are MapParameters; and they are an increment.
inline constexpr std::string_view kMapFeature = "map_parameter";
inline constexpr std::string_view kIncrementFeature = "increment";

/// A word of `Record::optional_features`: the block table and `blocks_crc` hold CRCs.
inline constexpr std::string_view kCrcFeature = "crc32";
/// A word of `Record::required_features`: this is no checkpoint but what one rank saved alone.
inline constexpr std::string_view kLoneShardFeature = "lone_shard";

/// What a checkpoint says of itself: the fixed-size page at the image's end. In the file it is one
/// HDF5 compound, `/.cairn/record`, whose members and places docs/format.md lists.
struct Record : Identity {
  // What is where; filled in by the image writer.
  std::uint64_t image_bytes = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t head_bytes = 0;
  std::uint64_t tail_offset = 0;
  std::uint64_t table_offset = 0;
  std::uint64_t table_entries = 0;
  std::uint64_t tensor_count = 0;
  std::uint64_t value_bytes = 0;
  std::uint32_t head_crc = 0;
  std::uint32_t tail_crc = 0;

  std::uint32_t blocks_crc = 0;  ///< of [0, tail_offset), with `kCrcFeature`

  // Who wrote it and what a reader must know.
  std::string writer;
  std::string required_features;  ///< words separated by blanks; an unknown one is refused
  std::string optional_features;

  [[nodiscard]] const Identity& identity() const noexcept { return *this; }
  /// Whether the blocks have CRCs.
  [[nodiscard]] bool has_crc() const noexcept;
  /// Whether there may be MapParameters.
  [[nodiscard]] bool has_maps() const noexcept;

  bool operator==(const Record&) const = default;
};

// What the record and the header of a sealed file have in common. Both throw `mismatch`; `where`
// names the file.
void check_kind(std::uint8_t kind, const std::string& where);
void check_features(const std::string& required, const std::string& where);
/// Throws `damaged` for a sequence number that no series reaches: the next one must be greater.
void check_sequence(std::uint64_t sequence, const std::string& where);

/// Throws `damaged` for a chain that no writer makes.
void check_chain(const Identity& identity, const std::string& where);
/// Whether one of the words, which are separated by blanks, is `word`.
bool has_word(std::string_view words, std::string_view word) noexcept;
/// The format's minor version that these features need.
std::uint16_t minor_for(std::string_view required_features) noexcept;

/// What tells this checkpoint from all others, and from all that it goes back to.
codec::Digest digest_of(const Identity& identity);

/// The bytes of `/.cairn/record`.
using RecordBytes = std::array<std::byte, kRecordBytes>;

/// Throws `invalid_argument` for a text that is too long for its place or has a zero byte in it.
RecordBytes encode_record(const Record& record);

/// Checks magic, CRC, version, kind and features, in this order, and nothing about where things
/// lie. Errors name the file by `where`.
Record decode_record(std::span<const std::byte, kRecordBytes> bytes, const std::string& where);

}  // namespace cairn::storage
