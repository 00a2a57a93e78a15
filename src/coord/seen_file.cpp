#include "coord/seen_file.hpp"

#include <span>
#include <string>

#include "cairn/error.hpp"

namespace cairn::coord {

namespace fs = std::filesystem;

SeenFile look_at_file(const storage::ImageFile& file, const storage::ImageIndex& index) {
  const storage::Record& record = index.record;
  SeenFile seen;
  seen.block_bytes = record.block_bytes;
  seen.body_offset = record.head_bytes;
  seen.body_bytes = record.tail_offset - record.head_bytes;
  const std::uint64_t first = record.head_bytes / record.block_bytes;
  const std::uint64_t blocks = seen.body_bytes / record.block_bytes;
  if (const storage::SealedFile* const sealed = file.sealed()) {
    seen.body_offset = storage::SealedPlaces(sealed->header).offset_of(record.head_bytes);
    seen.verified = Verified::seal;
    seen.enc_mode = sealed->header.mode;
    seen.sealed = {sealed->header.file_id, sealed->digest, sealed->header.blocks_begin};
    const std::size_t tag = codec::tag_bytes(sealed->header.mode);
    const auto tags = std::span(sealed->tags).subspan(first * tag, blocks * tag);
    seen.marks.assign(tags.begin(), tags.end());
  } else if (record.has_crc()) {
    seen.verified = Verified::crc;
    const auto crcs = std::as_bytes(std::span(index.crcs).subspan(first, blocks));
    seen.marks.assign(crcs.begin(), crcs.end());
  }
  return seen;
}

void append_file(Stored& stored, const fs::path& path, const SeenFile& seen) {
  if (stored.files.empty()) {
    stored.block_bytes = seen.block_bytes;
    stored.verified = seen.verified;
    stored.enc_mode = seen.enc_mode;
  }
  if (seen.block_bytes != stored.block_bytes) {
    throw Error(ErrorCode::damaged,
                path.string() + " has blocks of " + std::to_string(seen.block_bytes) +
                    " bytes, the others of " + std::to_string(stored.block_bytes));
  }
  if (seen.verified != stored.verified || seen.enc_mode != stored.enc_mode) {
    throw Error(ErrorCode::damaged, path.string() + " is protected in another way than the others");
  }
  const std::uint64_t first = stored.block_count * stored.block_bytes;
  stored.files.push_back({path, first, seen.body_bytes, seen.body_offset});
  stored.block_count += seen.body_bytes / seen.block_bytes;
  stored.marks.insert(stored.marks.end(), seen.marks.begin(), seen.marks.end());
  if (seen.verified == Verified::seal) stored.sealed.push_back(seen.sealed);
}

void put_seen(WireWriter& writer, const SeenFile& seen) {
  writer.put(seen.block_bytes).put(seen.body_offset).put(seen.body_bytes);
  writer.put(seen.verified).put(seen.enc_mode).put(seen.sealed);
  writer.put_all(std::span<const std::byte>(seen.marks));
}

SeenFile get_seen_file(WireReader& reader) {
  SeenFile seen;
  seen.block_bytes = reader.get<std::uint64_t>();
  seen.body_offset = reader.get<std::uint64_t>();
  seen.body_bytes = reader.get<std::uint64_t>();
  seen.verified = reader.get<Verified>();
  seen.enc_mode = reader.get<EncMode>();
  seen.sealed = reader.get<SealedSource>();
  seen.marks = reader.get_all<std::byte>();
  return seen;
}

void check_crc_is_there(const fs::path& path, const storage::Record& record,
                        const storage::Unlock& unlock) {
  if (!unlock.crc_check || record.has_crc()) return;
  throw Error(ErrorCode::mismatch,
              path.string() + " holds no CRCs: it was saved without crc_check, and crc_check asks "
                              "for them now");
}

}  // namespace cairn::coord
