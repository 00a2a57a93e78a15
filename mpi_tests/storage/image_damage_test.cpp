// Images that were cut, extended or changed, and records that this reader does not know.
#include <cstring>
#include <functional>

#include "codec/crc32.hpp"
#include "storage/expect_error.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"
#include "storage/scratch_directory.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::image_in;
using cairn::testing::expect_error;
using cairn::testing::sample_record;
using cairn::testing::ScratchDirectory;
using cairn::testing::tensors_of_every_dtype;
using cairn::testing::write_image;

// Places in the record that the format fixes (docs/format.md).
constexpr std::size_t kFormatMajorAt = 8;
constexpr std::size_t kKindAt = 984;
constexpr std::size_t kCrcAt = 4092;

class ImageDamage : public ::testing::Test {
 protected:
  void flip(std::uint64_t offset) const {
    std::array<std::byte, 1> byte{};
    file_.read(byte, offset);
    byte[0] ^= std::byte{0x10};
    file_.write(byte, offset);
  }

  /// Changes the record's bytes and gives it a good CRC again.
  void change_record(const std::function<void(RecordBytes&)>& change) const {
    RecordBytes bytes{};
    file_.read(bytes, record_offset());
    change(bytes);
    const std::uint32_t crc = codec::crc32(std::span(bytes).first(kCrcAt));
    std::memcpy(bytes.data() + kCrcAt, &crc, sizeof crc);
    file_.write(bytes, record_offset());
  }

  /// Writes another record in the place of the one that is there.
  void replace_record(const std::function<void(Record&)>& change) const {
    Record record = read_record(image_in(file_));
    change(record);
    file_.write(encode_record(record), record_offset());
  }

  void expect_refused(ErrorCode code, std::initializer_list<const char*> parts) const {
    expect_error(code, parts, [&] { (void)read_index(image_in(file_)); });
    expect_error(code, {"image.h5"}, [&] { (void)read_index(image_in(file_)); });
  }

  [[nodiscard]] std::uint64_t record_offset() const { return layout_.image_bytes - kRecordBytes; }

  ScratchDirectory directory_;
  ImageLayout layout_ = lay_out(tensors_of_every_dtype(), 1 << 20);
  PosixFile file_ = write_image(directory_ / "image.h5", layout_, sample_record());
};

TEST_F(ImageDamage, AnUndamagedOneIsRead) {
  EXPECT_EQ(read_index(image_in(file_)).tensors.size(), std::size_t{3} * kDTypeCount);
}

TEST_F(ImageDamage, AFileTooShortForAnImageIsRefused) {
  file_.truncate(5000);
  expect_refused(ErrorCode::damaged, {"not a Cairn checkpoint", "5000 bytes"});
}

TEST_F(ImageDamage, AForeignFileIsRefused) {
  std::vector<std::byte> text(100'000, std::byte{'x'});
  file_.write(text, 0);
  file_.truncate(text.size());
  expect_refused(ErrorCode::damaged, {"not a Cairn checkpoint", "7878787878787878", "CAIRNREC"});
}

TEST_F(ImageDamage, AFileCutShortByAByteIsRefused) {
  file_.truncate(layout_.image_bytes - 1);
  expect_refused(ErrorCode::damaged, {"cut short or extended", "CAIRNREC"});
}

TEST_F(ImageDamage, AnExtendedFileIsRefused) {
  file_.truncate(layout_.image_bytes + 4096);
  expect_refused(ErrorCode::damaged, {"cut short or extended", "0000000000000000"});
}

TEST_F(ImageDamage, AWholeRecordAtAnotherPlaceIsRefused) {
  RecordBytes record{};
  file_.read(record, record_offset());
  file_.write(record, layout_.image_bytes);
  expect_refused(ErrorCode::damaged,
                 {"cut short or extended", std::to_string(layout_.image_bytes).c_str(),
                  std::to_string(layout_.image_bytes + 4096).c_str()});
}

TEST_F(ImageDamage, AFlippedBitInTheHeadIsSeen) {
  flip(layout_.head_bytes / 2);
  expect_refused(ErrorCode::damaged, {"the head's CRC is", "expected"});
}

TEST_F(ImageDamage, AFlippedBitInTheBlockTableIsSeen) {
  flip(layout_.table_offset + 5);
  expect_refused(ErrorCode::damaged, {"the tail's CRC is", "expected"});
}

TEST_F(ImageDamage, AFlippedBitAnywhereInTheRecordIsSeen) {
  for (std::size_t at = 8; at < kRecordBytes; at += 61) {
    flip(record_offset() + at);
    expect_refused(ErrorCode::damaged, {"the record's CRC is"});
    flip(record_offset() + at);
  }
}

TEST_F(ImageDamage, AnUnknownVersionIsRefusedWithBothNumbers) {
  change_record([](RecordBytes& bytes) { bytes[kFormatMajorAt] = std::byte{7}; });
  expect_refused(ErrorCode::mismatch, {"format version 7.2", "knows version 1"});
}

TEST_F(ImageDamage, ANewerMinorVersionIsRead) {
  change_record([](RecordBytes& bytes) {
    bytes[kFormatMajorAt + 2] = std::byte{9};
    bytes[2000] = std::byte{1};  // a member that this reader does not know
  });
  EXPECT_EQ(read_record(image_in(file_)).step, sample_record().step);
}

TEST_F(ImageDamage, AnUnknownRequiredFeatureIsRefusedByName) {
  replace_record([](Record& record) { record.required_features = "zstd-blocks"; });
  expect_refused(ErrorCode::mismatch, {"needs the feature 'zstd-blocks'"});
}

TEST_F(ImageDamage, AnUnknownKindIsRefused) {
  change_record([](RecordBytes& bytes) { bytes[kKindAt] = std::byte{200}; });
  expect_refused(ErrorCode::mismatch, {"kind 200"});
}

TEST_F(ImageDamage, ASequenceNumberThatNoSeriesReachesIsRefused) {
  replace_record([](Record& record) { record.sequence = ~std::uint64_t{0}; });
  expect_refused(ErrorCode::damaged, {"sequence number is 18446744073709551615"});
}

// Each number of the record, wrong by itself, with a good CRC over it.
struct WrongNumber {
  const char* name;
  std::function<void(Record&)> change;
};

class RecordNumbers : public ImageDamage, public ::testing::WithParamInterface<WrongNumber> {};

TEST_P(RecordNumbers, AWrongOneIsRefusedByName) {
  replace_record(GetParam().change);
  expect_refused(ErrorCode::damaged, {"the record's", GetParam().name, "expected"});
}

INSTANTIATE_TEST_SUITE_P(
    EachOfThem, RecordNumbers,
    ::testing::Values(
        WrongNumber{"block_bytes", [](Record& r) { r.block_bytes = 0; }},
        WrongNumber{"block_bytes", [](Record& r) { r.block_bytes = 4096; }},
        WrongNumber{"block_bytes", [](Record& r) { r.block_bytes += 1; }},
        WrongNumber{"block_bytes", [](Record& r) { r.block_bytes = std::uint64_t{1} << 40; }},
        WrongNumber{"tail_offset", [](Record& r) { r.tail_offset += 1; }},
        WrongNumber{"tail_offset", [](Record& r) { r.tail_offset = std::uint64_t{1} << 63; }},
        WrongNumber{"head_bytes", [](Record& r) { r.head_bytes = 0; }},
        WrongNumber{"head_bytes", [](Record& r) { r.head_bytes += 4096; }},
        WrongNumber{"head_bytes", [](Record& r) { r.head_bytes = std::uint64_t{1} << 50; }},
        WrongNumber{"table_offset", [](Record& r) { r.table_offset -= 65'536; }},
        WrongNumber{"table_entries", [](Record& r) { r.table_entries += 1; }},
        WrongNumber{"image_bytes",
                    [](Record& r) {
                      r.tail_offset -= r.block_bytes;
                      r.table_offset = r.tail_offset;
                      r.table_entries -= 1;
                    }},
        WrongNumber{"value_bytes", [](Record& r) { r.value_bytes = ~std::uint64_t{0}; }}));

TEST_F(ImageDamage, AnotherLengthThanTheFilesIsRefusedWithBoth) {
  replace_record([](Record& r) { r.image_bytes += 4096; });
  expect_refused(ErrorCode::damaged, {"cut short or extended", "its record says"});
}

TEST_F(ImageDamage, AnotherNumberOfTensorsIsRefusedWithBoth) {
  replace_record([](Record& r) { r.tensor_count = 50; });
  expect_refused(ErrorCode::damaged, {"holds 51 tensors", "says 50"});
}

TEST_F(ImageDamage, AnotherSumOfBytesIsRefused) {
  replace_record([](Record& r) { r.value_bytes -= 1; });
  expect_refused(ErrorCode::damaged, {"holds 51 tensors of", "its record says 51 of"});
}

}  // namespace
}  // namespace cairn::storage
