#pragma once

#include <cstdint>
#include <string_view>

#include "storage/record.hpp"

namespace cairn::storage {

// Names and limits of an image, the same for who writes it and who reads it.

inline constexpr std::string_view kPaddingPath = ".cairn/padding";
inline constexpr std::string_view kTablePath = ".cairn/blocks";
inline constexpr std::string_view kRecordPath = ".cairn/record";

/// One entry of the block table {crc32 u32, codec u16, flags u16, stored_bytes u64}, packed.
inline constexpr std::uint64_t kTableEntryBytes = 16;

inline constexpr std::uint64_t kSmallestBlock = std::uint64_t{64} << 10;
inline constexpr std::uint64_t kLargestBlock = std::uint64_t{1} << 30;

// What a reader is ready to hold in memory; a writer never makes more.
inline constexpr std::uint64_t kLargestHead = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kLargestTable = std::uint64_t{1} << 30;

/// Every offset and length fits into 62 bits, so that sums fit into 63.
inline constexpr std::uint64_t kLargestImage = std::uint64_t{1} << 62U;

/// HDF5's own limit of dimensions.
inline constexpr std::size_t kLargestRank = 32;
/// Bytes of all paths together, as a multiple of the head: each repeats the names of its groups, of
/// which the head has each once.
inline constexpr std::uint64_t kNameBytesPerHeadByte = 64;
/// Groups within each other. (A name of 1000 characters may have 500.)
inline constexpr std::size_t kDeepestGroup = 1024;

/// The smallest image: one block of head, its table entry, the record.
inline constexpr std::uint64_t kSmallestImage = kSmallestBlock + kTableEntryBytes + kRecordBytes;

}  // namespace cairn::storage
