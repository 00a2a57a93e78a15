#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/wire.hpp"
#include "codec/seal.hpp"
#include "storage/block_filter.hpp"
#include "storage/image.hpp"
#include "storage/posix_file.hpp"
#include "storage/protection.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

/// What an image becomes on its way into a file: plain, plain with CRCs, or sealed. Every rank that
/// writes blocks of the image has one; what they learn of their blocks (CRCs, tags) is brought
/// together in one of them, which then completes the file.
class ImageWriter : public BlockFilter {
 public:
  /// Of the whole file.
  [[nodiscard]] virtual std::uint64_t file_bytes() const = 0;
  /// Where a byte of the image lies in the file.
  [[nodiscard]] virtual std::uint64_t offset_of(std::uint64_t position) const = 0;

  /// False where blocks go into the file as they are, and `apply` does nothing.
  [[nodiscard]] virtual bool applies() const { return true; }

  /// What is known of the blocks that went through `apply` here, for another one's `take_in`.
  [[nodiscard]] virtual Bytes marks() const = 0;
  virtual void take_in(std::span<const std::byte> marks) = 0;

  /// Writes all but the blocks of the body: head, tail and what a sealed file has around them. All
  /// marks must have been taken in. `layout` and `record` as given at the beginning, with the head.
  virtual void complete(const PosixFile& file, const ImageLayout& layout,
                        const Record& record) = 0;
};

/// Which of the files of a checkpoint an image is in; nothing outside of shards.
struct ShardOf {
  std::uint64_t shard = 0;
  std::uint64_t shards = 0;
  bool lone = false;  ///< its rank saved it alone
};

/// A new one. Of `layout` only the sizes are looked at: not every rank has its head. `id` matters
/// where `protection` seals.
std::unique_ptr<ImageWriter> make_image_writer(const Protection& protection,
                                               const ImageLayout& layout, const Record& record,
                                               const codec::FileId& id, ShardOf of = {});

}  // namespace cairn::storage
