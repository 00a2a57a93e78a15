#include "storage/sealed_header.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/image_format.hpp"
#include "storage/page_fields.hpp"

namespace cairn::storage {
namespace {

constexpr std::string_view kMagic = "CAIRNENC";
constexpr std::size_t kMacOffset = 4060;
constexpr std::size_t kCrcOffset = 4092;
static_assert(kMacOffset + codec::kMacBytes == kCrcOffset);

/// The header with what surrounds it.
struct Page {
  std::string magic{kMagic};
  std::uint16_t format_major = kFormatMajor;
  std::uint16_t format_minor = kFormatMinor;
  std::uint32_t header_bytes = 0;
  std::uint8_t mode = 0;
  std::uint8_t kind = 0;
  std::int64_t saved_at = 0;
  SealedHeader header;
};

/// The members, as docs/format.md lists them. `P` is `Page` or `const Page`.
template <class P, class Visitor>
void visit_fields(P& page, Visitor& visit) {
  auto& header = page.header;
  auto& identity = header.identity;
  visit.text("magic", page.magic, kMagic.size());
  visit.number("format_major", page.format_major);
  visit.number("format_minor", page.format_minor);
  visit.number("header_bytes", page.header_bytes);
  visit.number("mode", page.mode);
  visit.number("kind", page.kind);
  visit.number("image_bytes", header.image_bytes);
  visit.number("block_bytes", header.block_bytes);
  visit.bytes("file_id", header.file_id);
  visit.bytes("run_id", identity.run_id);
  visit.number("step", identity.step);
  visit.number("epoch", identity.epoch);
  visit.number("step_in_epoch", identity.step_in_epoch);
  visit.number("steps_per_epoch", identity.steps_per_epoch);
  visit.number("sequence", identity.sequence);
  visit.number("saved_at", page.saved_at);
  visit.text("series", identity.series, 256);
  visit.number("shard", header.shard);
  visit.number("shards", header.shards);
  visit.number("base_sequence", identity.chain.base);
  visit.text("required_features", header.required_features, 256);
  visit.number("position", identity.chain.position);
  visit.number("map_bytes", identity.chain.map_bytes);
  visit.text("parent", identity.chain.parent, 256);
  visit.bytes("parent_digest", identity.chain.parent_digest);
}

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  throw Error(ErrorCode::damaged, where + ": " + why);
}

void check_magic(std::span<const std::byte> page, const std::string& where) {
  if (begins_sealed(page)) return;
  refuse(where, "not a sealed file: it begins with the bytes " +
                    in_hex(page.first(kMagic.size())) + ", not with " + std::string(kMagic));
}

void check_crc(std::span<const std::byte> page, const std::string& where) {
  const auto stored = load_little_endian<std::uint32_t>(page.subspan(kCrcOffset));
  const std::uint32_t found = codec::crc32(page.first(kCrcOffset));
  if (found == stored) return;
  refuse(where, "the header's CRC is " + std::to_string(found) + ", expected " +
                    std::to_string(stored));
}

void check_version(const Page& page, const std::string& where) {
  const bool begins_as_known =
      page.header_bytes == kHeaderBytes || page.header_bytes == page.header.block_bytes;
  if (page.format_major != kFormatMajor || !begins_as_known) {
    throw Error(ErrorCode::mismatch,
                where + " has format version " + std::to_string(page.format_major) + "." +
                    std::to_string(page.format_minor) + " with a header of " +
                    std::to_string(page.header_bytes) + " bytes; this reader knows version " +
                    std::to_string(kFormatMajor) + " with " + std::to_string(kHeaderBytes) +
                    " or as many as a block has");
  }
  if (page.mode < 1 || page.mode > 3) {
    throw Error(ErrorCode::mismatch, where + " is encrypted in mode " + std::to_string(page.mode) +
                                         ", which this reader does not know");
  }
}

void check_sizes(const SealedHeader& header, const std::string& where) {
  if (!std::has_single_bit(header.block_bytes) || header.block_bytes < kSmallestBlock ||
      header.block_bytes > kLargestBlock) {
    refuse(where, "the header's block_bytes is " + std::to_string(header.block_bytes) +
                      ", expected a power of two from 64 KiB to 1 GiB");
  }
  // As many blocks as a plain image may have, and its tail.
  const std::uint64_t most = (kLargestTable / kTableEntryBytes + 1) * header.block_bytes + kLargestTable;
  if (header.image_bytes < kSmallestImage || header.image_bytes > most) {
    refuse(where, "the header's image_bytes is " + std::to_string(header.image_bytes) +
                      ", expected " + std::to_string(kSmallestImage) + " to " +
                      std::to_string(most));
  }
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

HeaderPage encode_header(const SealedHeader& header, const codec::Seal& seal) {
  Page page;
  page.format_minor =
      header.blocks_begin == kHeaderBytes ? minor_for(header.required_features) : kFormatMinor;
  page.header_bytes = static_cast<std::uint32_t>(header.blocks_begin);
  page.mode = static_cast<std::uint8_t>(header.mode);
  page.kind = static_cast<std::uint8_t>(header.identity.kind);
  page.saved_at = header.identity.saved_at.time_since_epoch().count();
  page.header = header;
  HeaderPage bytes{};
  const std::span<std::byte> all(bytes);
  PageEncoder encoder(all, "the header");
  visit_fields(std::as_const(page), encoder);
  std::ranges::copy(seal.header_mac(all.first(kMacOffset)), all.subspan(kMacOffset).begin());
  store_little_endian(all.subspan(kCrcOffset), codec::crc32(all.first(kCrcOffset)));
  return bytes;
}

SealedHeader decode_header(std::span<const std::byte, kHeaderBytes> bytes,
                           const std::string& where) {
  check_magic(bytes, where);
  check_crc(bytes, where);
  Page page;
  PageDecoder decoder(bytes);
  visit_fields(page, decoder);
  check_version(page, where);
  check_kind(page.kind, where);
  check_features(page.header.required_features, where);
  check_sizes(page.header, where);
  check_sequence(page.header.identity.sequence, where);
  page.header.mode = static_cast<EncMode>(page.mode);
  page.header.blocks_begin = page.header_bytes;
  page.header.identity.kind = static_cast<CheckpointKind>(page.kind);
  page.header.identity.saved_at = Time(std::chrono::nanoseconds(page.saved_at));
  check_chain(page.header.identity, where);
  return page.header;
}

void check_header_mac(std::span<const std::byte, kHeaderBytes> page, const codec::Seal& seal,
                      const std::string& where) {
  const auto stored = page.subspan(kMacOffset, codec::kMacBytes);
  if (codec::same_bytes(seal.header_mac(page.first(kMacOffset)), stored)) return;
  throw Error(ErrorCode::wrong_key,
              where + ": enc_key is not the key that it was encrypted with (or its header was "
                      "forged): the header's CRC is right and its MAC is not");
}

bool begins_sealed(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

SealedPlaces::SealedPlaces(const SealedHeader& header)
    : blocks_begin(header.blocks_begin),
      blocks((header.image_bytes - 1) / header.block_bytes + 1),
      tag_offset(blocks_begin + round_up(header.image_bytes, codec::kCipherBlock)),
      tags_bytes(blocks * codec::tag_bytes(header.mode)),
      file_bytes(tag_offset + tags_bytes + codec::kMacBytes + sizeof(std::uint32_t)) {}

std::uint64_t sealed_block_bytes(const SealedHeader& header, std::uint64_t number) {
  const std::uint64_t left = header.image_bytes - number * header.block_bytes;
  return std::min(header.block_bytes, round_up(left, codec::kCipherBlock));
}

}  // namespace cairn::storage
