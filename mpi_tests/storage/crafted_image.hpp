#pragma once

#include <hdf5.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <vector>

#include "codec/crc32.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"

namespace cairn::testing {

/// An image as somebody makes it who has a grudge: any HDF5 content in the head, and every CRC and
/// every number of the record in order.
class CraftedImage {
 public:
  /// `build` adds to an HDF5 file whose metadata goes to the head.
  CraftedImage(std::filesystem::path path, const std::function<void(hid_t file)>& build)
      : path_(std::move(path)) {
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_file_space_strategy(creation, H5F_FSPACE_STRATEGY_AGGR, 0, 1);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_meta_block_size(access, kHead);
    H5Pset_small_data_block_size(access, 0);
    const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, creation, access);
    build(file);
    H5Fclose(file);
    H5Pclose(access);
    H5Pclose(creation);
    head_.resize(kHead);
    storage::PosixFile::open_for_reading(path_).read(head_, 0);
  }

  /// Replaces the first 64-bit number `from` in the head.
  void patch(std::uint64_t from, std::uint64_t to) { put(place_of(from), to); }
  /// Replaces the 64-bit number that follows the first `mark`.
  void patch_behind(std::uint64_t mark, std::uint64_t to) { put(place_of(mark) + 8, to); }
  void overwrite(std::size_t offset, std::size_t count) {
    std::memset(head_.data() + offset, 0xA5, count);
  }

  /// Completes the file as an image of `count` tensors with `bytes` bytes.
  storage::PosixFile complete(std::uint64_t count, std::uint64_t bytes) {
    storage::PosixFile file = storage::PosixFile::open_for_writing(path_);
    storage::ImageLayout layout;
    layout.block_bytes = 65'536;
    layout.head_bytes = kHead;
    layout.tail_offset = (file.size() + 65'535) / 65'536 * 65'536;
    layout.table_offset = layout.tail_offset;
    layout.table_entries = layout.tail_offset / layout.block_bytes;
    layout.image_bytes = layout.tail_offset + 16 * layout.table_entries + storage::kRecordBytes;
    layout.value_bytes = bytes;
    layout.tensor_count = count;
    layout.head_crc = codec::crc32(head_);
    file.write(head_, 0);
    file.write(storage::make_tail(layout, sample_record()), layout.tail_offset);
    return file;
  }

  static constexpr std::uint64_t kHead = std::uint64_t{4} << 20;

 private:
  [[nodiscard]] std::size_t place_of(std::uint64_t number) const {
    std::array<std::byte, sizeof number> bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    const auto found = std::ranges::search(head_, bytes);
    if (found.empty()) throw std::logic_error("nothing to patch");
    return static_cast<std::size_t>(found.begin() - head_.begin());
  }
  void put(std::size_t place, std::uint64_t number) {
    std::memcpy(head_.data() + place, &number, sizeof number);
  }

  std::filesystem::path path_;
  std::vector<std::byte> head_;
};

}  // namespace cairn::testing
