// The layout of an image, and that what was laid out is read back.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "storage/expect_error.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"
#include "storage/scratch_directory.hpp"
#include "storage/scratch_file.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::image_in;
using cairn::testing::expect_error;
using cairn::testing::fill_image;
using cairn::testing::sample_record;
using cairn::testing::ScratchDirectory;
using cairn::testing::sorted;
using cairn::testing::tensors_of_every_dtype;
using cairn::testing::write_image;

constexpr std::uint64_t kLargest = std::uint64_t{4} << 20;
constexpr std::uint64_t kAligned = 4096;

std::uint64_t bytes_of(const TensorInfo& tensor) {
  return element_count(tensor.shape) * size_of(tensor.dtype);
}

/// What holds for every layout, and that a file of it is read back.
void expect_sound(const std::vector<TensorInfo>& tensors, const ImageLayout& layout) {
  ASSERT_EQ(layout.offsets.size(), tensors.size());
  std::uint64_t end = layout.head_bytes;
  std::uint64_t values = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = bytes_of(tensors[i]);
    if (bytes == 0) {
      EXPECT_EQ(layout.offsets[i], kNoOffset) << tensors[i].name;
      continue;
    }
    EXPECT_GE(layout.offsets[i], end) << tensors[i].name;
    EXPECT_LT(layout.offsets[i], end + kAligned) << tensors[i].name;
    if (bytes >= 65536) {
      EXPECT_EQ(layout.offsets[i] % kAligned, 0U) << tensors[i].name;
    }
    end = layout.offsets[i] + bytes;
    values += bytes;
  }
  EXPECT_EQ(layout.value_bytes, values);
  EXPECT_EQ(layout.head.size(), layout.head_bytes);
  EXPECT_EQ(layout.head_bytes % layout.block_bytes, 0U);
  EXPECT_EQ(layout.tail_offset,
            (end + layout.block_bytes - 1) / layout.block_bytes * layout.block_bytes);
  EXPECT_EQ(layout.table_offset, layout.tail_offset);
  EXPECT_EQ(layout.table_entries, layout.tail_offset / layout.block_bytes);
  EXPECT_EQ(layout.image_bytes, layout.tail_offset + 16 * layout.table_entries + kRecordBytes);
}

void expect_read_back(const std::vector<TensorInfo>& tensors, const ImageLayout& layout) {
  const ScratchFile scratch;  // as large as any image, unlike a file on a disk
  fill_image(scratch.file(), layout, sample_record());
  const ImageIndex index = read_index(image_in(scratch.file()));
  ASSERT_EQ(index.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(static_cast<const TensorInfo&>(index.tensors[i]), tensors[i]) << tensors[i].name;
    EXPECT_EQ(index.tensors[i].offset, layout.offsets[i]) << tensors[i].name;
  }
}

void expect_round_trip(const std::vector<TensorInfo>& tensors, std::uint64_t largest = kLargest) {
  const ImageLayout layout = lay_out(tensors, largest);
  expect_sound(tensors, layout);
  expect_read_back(tensors, layout);
}

/// Vectors of uint8 of these lengths, in this order.
std::vector<TensorInfo> vectors_of(const std::vector<std::uint64_t>& lengths) {
  std::vector<TensorInfo> tensors;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    tensors.push_back({"t" + std::to_string(1'000'000 + i), DType::uint8, {lengths[i]}});
  }
  return tensors;
}

TEST(ImageLayout, EveryTypeScalarsAndEmptyTensorsComeBack) {
  expect_round_trip(tensors_of_every_dtype());
}

TEST(ImageLayout, NoTensorsAtAllMakeAnImage) {
  expect_round_trip({});
}

TEST(ImageLayout, EightThousandSmallTensorsComeBack) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < 8000; ++i) {
    tensors.push_back({"layer." + std::to_string(i / 20) + "/t" + std::to_string(i % 20),
                       DType::float32,
                       {64, 64}});
  }
  expect_round_trip(sorted(tensors));
}

TEST(ImageLayout, SmallTensorsDoNotMoveIntoTheGapsBeforeAlignedOnes) {
  expect_round_trip(
      vectors_of({100,    70'000, 10, 70'000, 500,       3000, 16, 65'536, 4096,    65'535,
                  65'537, 1,      1,  1,      5'000'000, 20,   0,  7,      100'000, 4000}));
}

TEST(ImageLayout, ThePaddingEndsWithABlockWhereverTheValuesEnd) {
  constexpr std::uint64_t kBlock = 128 << 10;  // of 1.5 MiB
  for (const std::uint64_t rest :
       {0, 1, 4095, 4096, 4097, 61'440, 61'441, 65'535, 65'536, 65'537, 69'631, 69'632, 131'071}) {
    const auto tensors = vectors_of({12 * kBlock, rest});
    const ImageLayout layout = lay_out(tensors, kLargest);
    EXPECT_EQ(layout.block_bytes, kBlock);
    expect_sound(tensors, layout);
    expect_read_back(tensors, layout);
  }
}

TEST(ImageLayout, TheBlockSizeFollowsTheValuesUpToTheBound) {
  EXPECT_EQ(lay_out(vectors_of({1}), kLargest).block_bytes, 65'536U);
  EXPECT_EQ(lay_out(vectors_of({1 << 20}), kLargest).block_bytes, 65'536U);
  EXPECT_EQ(lay_out(vectors_of({(1 << 20) + 16}), kLargest).block_bytes, 131'072U);
  EXPECT_EQ(lay_out(vectors_of({std::uint64_t{1} << 40}), kLargest).block_bytes, kLargest);
  EXPECT_EQ(lay_out(vectors_of({std::uint64_t{1} << 40}), 1 << 16).block_bytes, 65'536U);
}

TEST(ImageLayout, NamesOfAllKindsComeBack) {
  std::string deep = "d";
  for (int i = 0; i < 500; ++i) deep += "/d";
  std::vector<TensorInfo> tensors;
  for (const std::string& name :
       {std::string(), std::string("/"), std::string("a"), std::string("a!"), std::string("a/b"),
        std::string("a/b/c"), std::string(".cairn/record"), std::string("append_info"),
        std::string("."), std::string("../x"), std::string("100%"), std::string("n\0n", 3),
        std::string("größe/权重"), std::string(1000, 'x'), std::string(20'000, 'y'), deep}) {
    tensors.push_back({name, DType::int16, {3}});
  }
  expect_round_trip(sorted(tensors));
}

TEST(ImageLayout, AGuessOfTheHeadThatIsTooSmallIsMadeGood) {
  std::vector<TensorInfo> tensors;  // types with long descriptions need more than was guessed
  for (int i = 0; i < 3000; ++i) {
    tensors.push_back({"c" + std::to_string(10'000 + i), DType::complex128, Shape(32, 1)});
  }
  expect_round_trip(tensors);
}

TEST(ImageLayout, HugeTensorsCostNothing) {
  expect_round_trip({{"a", DType::float64, {std::uint64_t{1} << 30, 1 << 10}},
                     {"b", DType::uint8, {(std::uint64_t{1} << 45) + 1}}});
}

TEST(ImageLayout, ExtentsBesideAZeroMayBeLarge) {
  expect_round_trip({{"a", DType::float64, {std::uint64_t{1} << 40, std::uint64_t{1} << 40, 0}}});
}

TEST(ImageLayout, TheSameStructureGivesTheSameBytesLater) {
  const auto tensors = tensors_of_every_dtype();
  const ImageLayout now = lay_out(tensors, kLargest);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's times count seconds
  const ImageLayout later = lay_out(tensors, kLargest);
  EXPECT_EQ(now.head, later.head);
  EXPECT_EQ(now.offsets, later.offsets);
  EXPECT_EQ(make_tail(now, sample_record()), make_tail(later, sample_record()));
}

TEST(ImageLayout, TheSameStructureGivesTheSameBytesInAnotherProcess) {
  const auto tensors = tensors_of_every_dtype();
  const ScratchDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<std::unique_ptr<int>> other_addresses;
    for (int i = 0; i < 1000; ++i) other_addresses.push_back(std::make_unique<int>(i));
    (void)lay_out(vectors_of({1, 2, 3}), kLargest);  // another history
    PosixFile::create(directory / "head").write(lay_out(tensors, kLargest).head, 0);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  const ImageLayout layout = lay_out(tensors, kLargest);
  std::vector<std::byte> other(layout.head_bytes);
  PosixFile::open_for_reading(directory / "head").read(other, 0);
  EXPECT_TRUE(other == layout.head);
}

TEST(ImageLayout, TensorsOutOfOrderAreRefused) {
  expect_error(ErrorCode::invalid_argument, {"\"a\"", "\"b\"", "bytewise order"}, [] {
    (void)lay_out(std::vector<TensorInfo>{{"b", DType::int8, {}}, {"a", DType::int8, {}}},
                  kLargest);
  });
  expect_error(ErrorCode::invalid_argument, {"\"a\"", "each name once"}, [] {
    (void)lay_out(std::vector<TensorInfo>{{"a", DType::int8, {}}, {"a", DType::int8, {}}},
                  kLargest);
  });
}

TEST(ImageLayout, TooManyDimensionsAreRefused) {
  expect_error(ErrorCode::invalid_argument, {"\"t\"", "33 dimensions", "32"}, [] {
    (void)lay_out(std::vector<TensorInfo>{{"t", DType::int8, Shape(33, 1)}}, kLargest);
  });
}

TEST(ImageLayout, TooDeepANameIsRefused) {
  std::string deep = "d";
  for (int i = 0; i < 1025; ++i) deep += "/d";
  expect_error(ErrorCode::invalid_argument, {"1025 groups deep", "1024"}, [&] {
    (void)lay_out(std::vector<TensorInfo>{{deep, DType::int8, {}}}, kLargest);
  });
}

TEST(ImageLayout, MoreBytesThanAFileHoldsAreRefused) {
  const std::uint64_t half = std::uint64_t{1} << 61U;
  expect_error(ErrorCode::invalid_argument, {"\"b\"", "larger than"}, [&] {
    (void)lay_out(
        std::vector<TensorInfo>{{"a", DType::int8, {half}}, {"b", DType::int8, {half + 1}}},
        kLargest);
  });
}

TEST(ImageLayout, ABlockTableThatNoReaderTakesIsRefused) {
  expect_error(ErrorCode::invalid_argument, {"block table", "larger blocks"},
               [] { (void)lay_out(vectors_of({std::uint64_t{1} << 43U}), 65'536); });
}

TEST(ImageLayout, ABoundThatIsNoPowerOfTwoIsRefused) {
  for (const std::uint64_t bound : {std::uint64_t{0}, std::uint64_t{100'000}, kLargest * 1024}) {
    expect_error(ErrorCode::invalid_argument, {std::to_string(bound).c_str(), "power of two"},
                 [&] { (void)lay_out({}, bound); });
  }
}

TEST(ImageRecord, WhatWasGivenComesBackWithThePlacesFilledIn) {
  const ScratchDirectory directory;
  const ImageLayout layout = lay_out(tensors_of_every_dtype(), kLargest);
  const PosixFile file = write_image(directory / "image.h5", layout, sample_record());
  const Record read = read_record(image_in(file));
  EXPECT_EQ(read.image_bytes, file.size());
  EXPECT_EQ(read.block_bytes, layout.block_bytes);
  EXPECT_EQ(read.tensor_count, std::uint64_t{3} * kDTypeCount);
  EXPECT_EQ(read.head_crc, layout.head_crc);
  EXPECT_EQ(read.writer.substr(0, 6), "cairn ");
  Record expected = sample_record();
  expected.image_bytes = read.image_bytes;
  expected.block_bytes = layout.block_bytes;
  expected.head_bytes = layout.head_bytes;
  expected.tail_offset = layout.tail_offset;
  expected.table_offset = layout.table_offset;
  expected.table_entries = layout.table_entries;
  expected.tensor_count = read.tensor_count;
  expected.value_bytes = layout.value_bytes;
  expected.head_crc = layout.head_crc;
  expected.tail_crc = read.tail_crc;
  expected.writer = read.writer;
  EXPECT_EQ(read, expected);
}

TEST(ImageRecord, TextsThatDoNotFitAreRefused) {
  Record record = sample_record();
  record.series = std::string(256, 's');
  EXPECT_EQ(decode_record(encode_record(record), "here").series, record.series);
  record.series += 's';
  expect_error(ErrorCode::invalid_argument, {"series", "longer than 256"},
               [&] { (void)encode_record(record); });
  record.series = std::string("a\0b", 3);
  expect_error(ErrorCode::invalid_argument, {"series", "zero byte"},
               [&] { (void)encode_record(record); });
}

}  // namespace
}  // namespace cairn::storage
