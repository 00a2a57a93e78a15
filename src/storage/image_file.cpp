#include "storage/image_file.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/image.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"
#include "storage/recognise.hpp"

namespace cairn::storage {
namespace {

[[noreturn]] void refuse(const PosixFile& file, const std::string& why) {
  throw Error(ErrorCode::damaged, file.path().string() + ": " + why);
}

/// Of the table of tags with its MAC: the last four bytes are that of those before.
bool has_right_crc(std::span<const std::byte> table) {
  return codec::crc32(table.first(table.size() - sizeof(std::uint32_t))) ==
         load_little_endian<std::uint32_t>(table.last(sizeof(std::uint32_t)));
}

HeaderPage read_page(const PosixFile& file) {
  const std::uint64_t bytes = file.size();
  if (bytes < kHeaderBytes) {
    refuse(file, "cut short: it has " + std::to_string(bytes) + " bytes, the header alone has " +
                     std::to_string(kHeaderBytes));
  }
  HeaderPage page{};
  file.read(page, 0);
  return page;
}

/// Of a file that has another length than it should.
bool has_table_at_end(const PosixFile& file, const SealedPlaces& places) {
  const std::uint64_t bytes = places.file_bytes - places.tag_offset;  // the header may lie
  if (bytes > file.size() || file.size() - bytes < kHeaderBytes) return false;
  constexpr std::uint64_t kMostForAMessage = std::uint64_t{64} << 20;
  if (bytes > kMostForAMessage) return false;
  Bytes table(bytes);
  file.read(table, file.size() - bytes);
  return has_right_crc(table);
}

SealedHeader check_page(const PosixFile& file, const HeaderPage& page) {
  SealedHeader header = decode_header(page, file.path().string());
  const std::uint64_t expected = SealedPlaces(header).file_bytes;
  const std::uint64_t found = file.size();
  if (found != expected) {
    const bool whole_table = has_table_at_end(file, SealedPlaces(header));
    refuse(file,
           "cut short or extended: it has " + std::to_string(found) + " bytes, by its header " +
               std::to_string(expected) +
               (whole_table ? "; its table of tags is whole, so it happened before that" : ""));
  }
  return header;
}

void check_mode(const PosixFile& file, EncMode found, const Unlock& unlock) {
  if (unlock.enc_key.empty()) {
    throw Error(ErrorCode::wrong_key, file.path().string() + " is encrypted (" +
                                          std::string(to_string(found)) + ") and there is no enc_key");
  }
  if (!unlock.enc_mode || *unlock.enc_mode == found) return;
  throw Error(ErrorCode::mismatch, file.path().string() + " is encrypted with " +
                                       std::string(to_string(found)) + ", but enc_mode is " +
                                       std::string(to_string(*unlock.enc_mode)));
}

/// Of a key whose length another mode takes, the derived keys just are wrong ones.
codec::Seal make_seal(const PosixFile& file, const SealedHeader& header, const Key& key) {
  try {
    return {key, header.mode, header.file_id};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_argument) throw;
    throw Error(ErrorCode::wrong_key, file.path().string() + ": " + error.what());
  }
}

/// The tags, once the table's CRC and MAC are right.
Bytes read_tags(const PosixFile& file, const SealedHeader& header, const codec::Seal& seal,
                const codec::Digest& digest) {
  const SealedPlaces places(header);
  Bytes table(places.file_bytes - places.tag_offset);
  file.read(table, places.tag_offset);
  const std::span<const std::byte> all(table);
  if (!has_right_crc(all)) {
    refuse(file, "the table of tags at offset " + std::to_string(places.tag_offset) +
                     " is damaged: its CRC is wrong");
  }
  const auto mac = all.subspan(places.tags_bytes, codec::kMacBytes);
  if (!codec::same_bytes(seal.table_mac(digest, all.first(places.tags_bytes)), mac)) {
    refuse(file, "the table of tags at offset " + std::to_string(places.tag_offset) +
                     " was forged or belongs to another file: its MAC is wrong");
  }
  table.resize(places.tags_bytes);
  return table;
}

/// With a key, a plain file is refused; but where it is no checkpoint at all, that is damage.
void refuse_plain(const PosixFile& file) {
  try {
    read_record(ImageFile(PosixFile::open_for_reading(file.path())));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::damaged) throw;
    refuse(file, "it is neither a sealed file (it does not begin as one) nor a plain one: " +
                     std::string(error.what()));
  }
  throw Error(ErrorCode::mismatch,
              file.path().string() + " is not encrypted, but there is an enc_key");
}

}  // namespace

ImageFile::ImageFile(PosixFile file) : file_(std::move(file)), image_bytes_(file_.size()) {}

ImageFile::ImageFile(PosixFile file, SealedFile sealed, codec::Seal seal)
    : file_(std::move(file)),
      image_bytes_(sealed.header.image_bytes),
      sealed_(std::move(sealed)),
      seal_(std::move(seal)) {}

ImageFile ImageFile::open(const std::filesystem::path& path, const Unlock& unlock) {
  PosixFile file = PosixFile::open_for_reading(path);
  if (is_sealed(file)) return open_sealed(std::move(file), unlock);
  if (!unlock.enc_key.empty()) refuse_plain(file);
  return ImageFile(std::move(file));
}

ImageFile ImageFile::open_sealed(PosixFile file, const Unlock& unlock) {
  const HeaderPage page = read_page(file);
  SealedFile sealed{check_page(file, page), codec::sha256(page), {}};
  check_mode(file, sealed.header.mode, unlock);
  codec::Seal seal = make_seal(file, sealed.header, unlock.enc_key);
  check_header_mac(page, seal, file.path().string());
  sealed.tags = read_tags(file, sealed.header, seal, sealed.digest);
  return {std::move(file), std::move(sealed), std::move(seal)};
}

void ImageFile::read(std::span<std::byte> bytes, std::uint64_t position) const {
  if (!sealed_) {
    file_.read(bytes, position);
    return;
  }
  if (position > image_bytes_ || bytes.size() > image_bytes_ - position) {
    refuse(file_, std::to_string(bytes.size()) + " bytes at " + std::to_string(position) +
                      " lie outside of its image of " + std::to_string(image_bytes_));
  }
  const std::uint64_t block_bytes = sealed_->header.block_bytes;
  while (!bytes.empty()) {
    const auto from = block(position / block_bytes).subspan(position % block_bytes);
    const std::size_t count = std::min(bytes.size(), from.size());
    std::ranges::copy(from.first(count), bytes.begin());
    bytes = bytes.subspan(count);
    position += count;
  }
}

std::span<const std::byte> ImageFile::block(std::uint64_t number) const {
  if (block_number_ == number) return block_;
  block_number_.reset();
  if (!open_as(number, number)) {
    refuse(file_, where_in_sealed(sealed_->header, number) + recognise(number));
  }
  block_number_ = number;
  return block_;
}

void ImageFile::check_gap() const {
  if (!sealed_) return;
  constexpr std::uint64_t kAtATime = std::uint64_t{1} << 20;
  const std::uint64_t end = sealed_->header.blocks_begin;
  Bytes part;
  for (std::uint64_t at = kHeaderBytes; at < end; at += part.size()) {
    part.resize(std::min(kAtATime, end - at));
    file_.read(part, at);
    const auto found = std::ranges::find_if(part, [](std::byte b) { return b != std::byte{0}; });
    if (found == part.end()) continue;
    refuse(file_, "the byte at offset " + std::to_string(at + (found - part.begin())) +
                      ", between header and blocks, is not zero");
  }
}

bool ImageFile::open_as(std::uint64_t place, std::uint64_t number) const {
  const SealedHeader& header = sealed_->header;
  block_.resize(sealed_block_bytes(header, place));
  file_.read(block_, SealedPlaces(header).offset_of(place * header.block_bytes));
  const std::size_t tag = codec::tag_bytes(header.mode);
  const auto expected = std::span<const std::byte>(sealed_->tags).subspan(number * tag, tag);
  return seal_->open(number, sealed_->digest, block_, expected);
}

std::string ImageFile::recognise(std::uint64_t number) const {
  const SealedHeader& header = sealed_->header;
  const std::uint64_t whole_blocks = header.image_bytes / header.block_bytes;
  if (number >= whole_blocks) return {};
  return recognise_block(number, {0, whole_blocks, header.block_bytes},
                         [this](auto place, auto as) { return open_as(place, as); });
}

SealedHeader read_sealed_header(const PosixFile& file) {
  return check_page(file, read_page(file));
}

bool is_sealed(const PosixFile& file) {
  if (file.size() < kSmallestImage) return false;
  std::array<std::byte, 8> first{};
  file.read(first, 0);
  return begins_sealed(first);
}

void check_same_identity(const ImageFile& file, const Record& record) {
  if (file.sealed() == nullptr) return;
  const SealedHeader& header = file.sealed()->header;
  if (header.identity == record.identity() && header.block_bytes == record.block_bytes) return;
  throw Error(ErrorCode::damaged,
              file.path().string() + ": its header and the record inside tell two checkpoints");
}

std::string where_in_sealed(const SealedHeader& header, std::uint64_t block) {
  return "block " + std::to_string(block) + " at offset " +
         std::to_string(SealedPlaces(header).offset_of(block * header.block_bytes)) + " with " +
         std::to_string(sealed_block_bytes(header, block)) +
         " bytes is not what was sealed there: its tag is wrong";
}

}  // namespace cairn::storage
