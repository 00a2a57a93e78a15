// Bytes of files, past all code of Cairn's: what damages checkpoints must not be what is tested.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace cairn::test {

using RawBytes = std::vector<std::byte>;

/// An open file; a call that fails fails the test.
class RawFile {
 public:
  explicit RawFile(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDWR)) {
    EXPECT_GE(fd_, 0) << path;
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;
  ~RawFile() { ::close(fd_); }

  [[nodiscard]] std::uint64_t size() const {
    return static_cast<std::uint64_t>(::lseek(fd_, 0, SEEK_END));
  }
  [[nodiscard]] RawBytes read(std::uint64_t offset, std::uint64_t count) const {
    RawBytes bytes(count);
    EXPECT_EQ(::pread(fd_, bytes.data(), count, static_cast<off_t>(offset)),
              static_cast<ssize_t>(count));
    return bytes;
  }
  void write(std::uint64_t offset, const RawBytes& bytes) const {
    EXPECT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
  }
  void set_size(std::uint64_t bytes) const {
    EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(bytes)), 0);
  }

 private:
  int fd_;
};

inline RawBytes read_all(const std::filesystem::path& path) {
  const RawFile file(path);
  return file.read(0, file.size());
}

inline void write_all(const std::filesystem::path& path, const RawBytes& bytes) {
  const RawFile file(path);
  file.set_size(bytes.size());
  file.write(0, bytes);
}

template <class T>
T number_at(const RawBytes& bytes, std::uint64_t offset) {
  T number{};
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

inline void flip_bit(const std::filesystem::path& path, std::uint64_t offset, unsigned bit) {
  const RawFile file(path);
  RawBytes byte = file.read(offset, 1);
  byte[0] ^= static_cast<std::byte>(1U << bit);
  file.write(offset, byte);
}

/// Where the parts of a checkpoint's file lie, as docs/format.md says.
struct Places {
  bool sealed = false;
  std::uint64_t file_bytes = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t blocks_at = 0;  ///< of block 0 in the file
  std::uint64_t image_bytes = 0;
  std::uint64_t head_bytes = 0;   ///< plain only
  std::uint64_t tail_offset = 0;  ///< plain: of the block table; sealed: of the tags
  std::uint64_t tag_bytes = 0;
};

inline Places places_of(const std::filesystem::path& path) {
  constexpr std::uint64_t kPage = 4096;
  const RawFile file(path);
  Places places;
  places.file_bytes = file.size();
  const RawBytes header = file.read(0, kPage);
  places.sealed = std::memcmp(header.data(), "CAIRNENC", 8) == 0;
  if (places.sealed) {
    places.image_bytes = number_at<std::uint64_t>(header, 18);
    places.block_bytes = number_at<std::uint64_t>(header, 26);
    places.blocks_at = number_at<std::uint32_t>(header, 12);
    places.tail_offset = places.blocks_at + (places.image_bytes + 15) / 16 * 16;
    places.tag_bytes = header[16] == std::byte{1} ? 16 : 32;
    return places;
  }
  const RawBytes record = file.read(places.file_bytes - kPage, kPage);
  EXPECT_EQ(std::memcmp(record.data(), "CAIRNREC", 8), 0) << path;
  places.image_bytes = number_at<std::uint64_t>(record, 16);
  places.block_bytes = number_at<std::uint64_t>(record, 24);
  places.head_bytes = number_at<std::uint64_t>(record, 32);
  places.tail_offset = number_at<std::uint64_t>(record, 40);
  return places;
}

}  // namespace cairn::test
