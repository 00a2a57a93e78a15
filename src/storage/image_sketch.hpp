#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/tensor.hpp"
#include "storage/hdf5.hpp"
#include "storage/scratch_file.hpp"

namespace cairn::storage {

/// What HDF5 is told: datasets of `kAlignedFrom` bytes or more begin at a multiple of
/// `kDatasetAlignment`; smaller ones follow each other without a gap.
inline constexpr std::uint64_t kAlignedFrom = std::uint64_t{64} << 10;
inline constexpr std::uint64_t kDatasetAlignment = 4096;

/// An HDF5 file without values, made to learn where HDF5 puts things: metadata in
/// [0, head_bytes), then the datasets in the order in which they are added.
///
/// HDF5 does not say when the head is too small, and puts metadata behind values. So `proved()`
/// looks. Made, used and destroyed under an `Hdf5Lock`.
class ImageSketch {
 public:
  explicit ImageSketch(std::uint64_t head_bytes);

  void add_group(const std::string& path);
  /// Returns the offset, `kNoOffset` for a dataset without elements.
  std::uint64_t add_dataset(const std::string& path, hid_t type,
                            std::span<const std::uint64_t> shape);

  /// Where the last dataset ends.
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

  /// Completes the file. True: all metadata lies in the head, and nothing but the datasets, in
  /// order and with gaps below `kDatasetAlignment`, behind it.
  [[nodiscard]] bool finish();
  /// After `finish`: the bytes of the head.
  void read_head(std::span<std::byte> head) const { scratch_.file().read(head, 0); }

 private:
  void note_place(std::uint64_t offset, std::uint64_t bytes);

  ScratchFile scratch_;
  H5PropertyList group_creation_;
  H5PropertyList dataset_creation_;
  H5File file_;
  std::uint64_t head_bytes_;
  std::uint64_t end_;
  bool in_order_ = true;
};

}  // namespace cairn::storage
