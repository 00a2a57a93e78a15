#include "storage/image_writer.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "cairn/error.hpp"
#include "codec/crc32.hpp"
#include "storage/little_endian.hpp"
#include "storage/sealed_header.hpp"

namespace cairn::storage {
namespace {

/// Of a block that is gathered and summed part by part: what fits in a core's own cache.
constexpr std::size_t kCachedBytes = std::size_t{128} << 10;

/// Something of fixed size that is known of each block.
class Marks {
 public:
  Marks(std::uint64_t blocks, std::size_t bytes)
      : bytes_(bytes), all_(blocks * bytes), known_(blocks) {}

  /// Of a block that is new to it: where its mark goes. By several threads at once.
  [[nodiscard]] std::span<std::byte> claim(std::uint64_t block) {
    const std::lock_guard lock(mutex_);
    if (known_.at(block)) {
      throw Error(ErrorCode::io, "block " + std::to_string(block) + " is written twice");
    }
    known_[block] = true;
    return std::span(all_).subspan(block * bytes_, bytes_);
  }
  [[nodiscard]] std::span<const std::byte> all() const noexcept { return all_; }

  [[nodiscard]] Bytes told() const {
    WireWriter writer;
    for (std::uint64_t block = 0; block < known_.size(); ++block) {
      if (known_[block]) writer.put(block).put_all(std::span(all_).subspan(block * bytes_, bytes_));
    }
    return writer.take();
  }
  void take_in(std::span<const std::byte> told) {
    for (WireReader reader(told); !reader.done();) {
      const auto block = reader.get<std::uint64_t>();
      std::ranges::copy(reader.get_all<std::byte>(), claim(block).begin());
    }
  }

 private:
  std::size_t bytes_;
  Bytes all_;
  std::vector<bool> known_;
  std::mutex mutex_;
};

/// The image is the file.
class PlainWriter final : public ImageWriter {
 public:
  PlainWriter(const ImageLayout& layout, bool crc_check)
      : block_bytes_(layout.block_bytes),
        file_bytes_(layout.image_bytes),
        crc_check_(crc_check),
        crcs_(crc_check ? layout.table_entries : 0, sizeof(std::uint32_t)) {}

  [[nodiscard]] std::uint64_t file_bytes() const override { return file_bytes_; }
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t position) const override { return position; }

  [[nodiscard]] bool applies() const override { return crc_check_; }
  void apply(std::span<std::byte> bytes, std::uint64_t position) override {
    if (!crc_check_) return;
    note_crc(position / block_bytes_, bytes);
  }
  void apply_loose(std::span<std::byte> bytes, std::uint64_t position,
                   std::span<const LooseBytes> loose) override {
    if (!crc_check_) {
      gather(loose, 0, bytes);
      return;
    }
    std::uint32_t crc = 0;
    for (std::size_t at = 0; at < bytes.size(); at += kCachedBytes) {
      const auto part = bytes.subspan(at, std::min(kCachedBytes, bytes.size() - at));
      gather(loose, at, part);
      crc = codec::crc32(part, crc);
    }
    keep_crc(position / block_bytes_, crc);
  }
  [[nodiscard]] Bytes marks() const override { return crcs_.told(); }
  void take_in(std::span<const std::byte> marks) override { crcs_.take_in(marks); }

  void complete(const PosixFile& file, const ImageLayout& layout, const Record& record) override {
    std::vector<std::uint32_t> crcs;
    if (crc_check_) {
      const std::span<const std::byte> head(layout.head);
      for (std::uint64_t at = 0; at < head.size(); at += block_bytes_) {
        note_crc(at / block_bytes_, head.subspan(at, block_bytes_));
      }
      crcs.resize(layout.table_entries);
      std::memcpy(crcs.data(), crcs_.all().data(), crcs_.all().size());
    }
    file.write(layout.head, 0);
    file.write(make_tail(layout, record, crcs), layout.tail_offset);
  }

 private:
  void note_crc(std::uint64_t block, std::span<const std::byte> bytes) {
    keep_crc(block, codec::crc32(bytes));
  }
  void keep_crc(std::uint64_t block, std::uint32_t crc) {
    std::memcpy(crcs_.claim(block).data(), &crc, sizeof crc);
  }

  std::uint64_t block_bytes_;
  std::uint64_t file_bytes_;
  bool crc_check_;
  Marks crcs_;
};

/// The image is sealed, block by block, behind a header and before the table of tags. No block is
/// ever sealed twice under one file id: `Marks` refuses, and every attempt has a new id.
class SealedWriter final : public ImageWriter {
 public:
  SealedWriter(const Key& key, const SealedHeader& header)
      : header_(header),
        places_(header),
        seal_(key, header.mode, header.file_id),
        page_(encode_header(header, seal_)),
        digest_(codec::sha256(page_)),
        tags_(places_.blocks, codec::tag_bytes(header.mode)) {}

  [[nodiscard]] std::uint64_t file_bytes() const override { return places_.file_bytes; }
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t position) const override {
    return places_.offset_of(position);
  }

  void apply(std::span<std::byte> bytes, std::uint64_t position) override {
    const std::uint64_t block = position / header_.block_bytes;
    seal_.seal(block, digest_, bytes, tags_.claim(block));
  }
  void apply_loose(std::span<std::byte> bytes, std::uint64_t position,
                   std::span<const LooseBytes> loose) override {
    const std::uint64_t block = position / header_.block_bytes;
    const auto fetch = [&](std::size_t at, std::span<std::byte> part) -> std::span<const std::byte> {
      for (const LooseBytes& piece : loose) {
        if (piece.at <= at && at + part.size() <= piece.at + piece.bytes.size()) {
          return piece.bytes.subspan(at - piece.at, part.size());
        }
      }
      gather(loose, at, part);
      return part;
    };
    seal_.seal(block, digest_, bytes, tags_.claim(block), fetch);
  }
  [[nodiscard]] Bytes marks() const override { return tags_.told(); }
  void take_in(std::span<const std::byte> marks) override { tags_.take_in(marks); }

  void complete(const PosixFile& file, const ImageLayout& layout, const Record& record) override {
    write_sealed(file, layout.head, 0);
    write_sealed(file, make_tail(layout, record, {}), layout.tail_offset);
    file.write(make_table(), places_.tag_offset);
    file.write(page_, 0);
  }

 private:
  /// All tags, then their MAC, then the CRC of both.
  [[nodiscard]] Bytes make_table() const {
    Bytes table(tags_.all().begin(), tags_.all().end());
    const codec::Mac mac = seal_.table_mac(digest_, table);
    table.insert(table.end(), mac.begin(), mac.end());
    std::array<std::byte, sizeof(std::uint32_t)> crc{};
    store_little_endian<std::uint32_t>(crc, codec::crc32(table));
    table.insert(table.end(), crc.begin(), crc.end());
    return table;
  }

  /// Whole blocks, but for the image's last.
  void write_sealed(const PosixFile& file, std::span<const std::byte> part, std::uint64_t position) {
    for (std::uint64_t at = 0; at < part.size(); at += header_.block_bytes) {
      const std::uint64_t block = (position + at) / header_.block_bytes;
      Bytes bytes(sealed_block_bytes(header_, block));
      std::ranges::copy(part.subspan(at, std::min<std::uint64_t>(bytes.size(), part.size() - at)),
                        bytes.begin());
      apply(bytes, position + at);
      file.write(bytes, offset_of(position + at));
    }
  }

  SealedHeader header_;
  SealedPlaces places_;
  codec::Seal seal_;
  HeaderPage page_;
  codec::Digest digest_;
  Marks tags_;
};

}  // namespace

std::unique_ptr<ImageWriter> make_image_writer(const Protection& protection,
                                               const ImageLayout& layout, const Record& record,
                                               const codec::FileId& id, ShardOf of) {
  if (!protection.sealed()) return std::make_unique<PlainWriter>(layout, protection.crc_check);
  SealedHeader header;
  header.mode = protection.enc_mode;
  header.image_bytes = layout.image_bytes;
  header.block_bytes = layout.block_bytes;
  header.blocks_begin = layout.block_bytes;
  header.file_id = id;
  header.identity = record;
  header.required_features = record.required_features;
  header.shard = of.shard;
  header.shards = of.shards;
  if (of.lone) header.required_features = kLoneShardFeature;
  return std::make_unique<SealedWriter>(protection.enc_key, header);
}

}  // namespace cairn::storage
