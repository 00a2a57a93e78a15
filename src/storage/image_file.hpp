#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "storage/posix_file.hpp"
#include "storage/protection.hpp"
#include "storage/sealed_header.hpp"

namespace cairn::storage {

/// What a reader of a sealed file's blocks must know of it.
struct SealedFile {
  SealedHeader header;
  codec::Digest digest{};  ///< of the header's page
  Bytes tags;              ///< of every block of the image
};

/// A file with an image in it, plain or sealed: gives the bytes of the image, those of a sealed one
/// block by block as they are asked for, each verified. Used by one thread at a time.
class ImageFile {
 public:
  /// Takes the file as a plain image, whatever it is; for what is not sealed by its name.
  explicit ImageFile(PosixFile file);
  /// Throws `damaged` for a file cut short, extended or changed in what is checked here: a sealed
  /// one's header, length and tags. `wrong_key` where the key does not open it, or there is none;
  /// `mismatch` for a plain one though there is a key, and for another mode.
  static ImageFile open(const std::filesystem::path& path, const Unlock& unlock);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  /// Of the image.
  [[nodiscard]] std::uint64_t size() const { return image_bytes_; }
  void read(std::span<std::byte> bytes, std::uint64_t position) const;
  /// Throws `damaged` where something stands between the header of a sealed file and its blocks. No
  /// reader needs that; who wants every byte to be what was written asks.
  void check_gap() const;
  /// Nothing where the file is plain.
  [[nodiscard]] const SealedFile* sealed() const noexcept { return sealed_ ? &*sealed_ : nullptr; }

 private:
  ImageFile(PosixFile file, SealedFile sealed, codec::Seal seal);
  static ImageFile open_sealed(PosixFile file, const Unlock& unlock);
  /// The bytes of a block, as long as it is needed.
  std::span<const std::byte> block(std::uint64_t number) const;
  /// Whether what stands in the place of one block verifies as block `number`; it is in `block_`
  /// then.
  [[nodiscard]] bool open_as(std::uint64_t place, std::uint64_t number) const;
  [[nodiscard]] std::string recognise(std::uint64_t number) const;

  PosixFile file_;
  std::uint64_t image_bytes_ = 0;
  std::optional<SealedFile> sealed_;
  std::optional<codec::Seal> seal_;
  mutable Bytes block_;  ///< the last one that was opened
  mutable std::optional<std::uint64_t> block_number_;
};

/// Reads the header of a sealed file and checks all that needs no key, the file's length too.
SealedHeader read_sealed_header(const PosixFile& file);

/// Whether the file begins as a sealed one does.
bool is_sealed(const PosixFile& file);

/// Throws `damaged` where the header of a sealed file tells another checkpoint, or another size of
/// its blocks, than its record.
void check_same_identity(const ImageFile& file, const Record& record);

/// The place of a block in a sealed file, in words for messages.
std::string where_in_sealed(const SealedHeader& header, std::uint64_t block);

}  // namespace cairn::storage
