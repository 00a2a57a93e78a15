// What read_head makes of a head, next to what the HDF5 library makes of it.
#include "storage/head_reader.hpp"

#include <chrono>
#include <random>
#include <set>

#include "base/slowness.hpp"
#include "codec/lookup3.hpp"
#include "storage/expect_error.hpp"
#include "storage/image.hpp"
#include "storage/library_walk.hpp"
#include "storage/sample_image.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;
using cairn::testing::fill_image;
using cairn::testing::sample_record;
using cairn::testing::sorted;
using cairn::testing::tensors_of_every_dtype;
using cairn::testing::tensors_with_info;
using cairn::testing::walk_with_library;

constexpr std::uint64_t kLargest = std::uint64_t{4} << 20;

std::vector<PlacedTensor> by_name(std::vector<PlacedTensor> tensors) {
  std::ranges::sort(tensors, {}, &PlacedTensor::key);
  return tensors;
}

/// A layout's record, as a file of it would have it.
Record record_of(const ImageLayout& layout) {
  const std::vector<std::byte> tail = make_tail(layout, sample_record());
  return decode_record(std::span(tail).last<kRecordBytes>(), "here");
}

void expect_same_as_library(const std::vector<TensorInfo>& tensors) {
  const ImageLayout layout = lay_out(tensors, kLargest);
  const ScratchFile image;
  fill_image(image.file(), layout, sample_record());
  const auto found = by_name(read_head(layout.head, record_of(layout)));
  EXPECT_EQ(found, by_name(walk_with_library(image)));
  EXPECT_EQ(found.size(), tensors.size());
}

using Random = std::mt19937_64;

std::uint64_t below(Random& random, std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random);
}

/// Names that share groups, have characters that are escaped, and are sometimes long.
std::string random_name(Random& random) {
  static const std::vector<std::string> kParts{
      "a", "layer", "%", ".", "..", "", ".cairn", "b.c", "\xC3\xBC", "append_info", "x y", "t7"};
  std::string name = kParts[below(random, kParts.size())];
  for (std::uint64_t depth = below(random, 6); depth > 0; --depth) {
    name += '/' + kParts[below(random, kParts.size())];
  }
  if (below(random, 3) > 0) name += std::to_string(below(random, 1000));
  if (below(random, 30) == 0) name.append(below(random, 5000), 'n');
  return name;
}

std::vector<TensorInfo> random_structure(Random& random) {
  std::set<std::string> names;
  for (std::uint64_t n = below(random, below(random, 8) == 0 ? 2000 : 60); n > 0; --n) {
    names.insert(random_name(random));
  }
  std::vector<TensorInfo> tensors;
  for (const std::string& name : names) {
    Shape shape(below(random, below(random, 10) == 0 ? 33 : 5));
    for (std::uint64_t& extent : shape) extent = shape.size() > 5 ? 1 : below(random, 40);
    const bool appended = below(random, 4) == 0;
    if (appended && below(random, 2) == 0) {
      tensors.push_back({name, DType::uint8, {1 + below(random, 70)}, Family::append_info, true});
    } else {
      tensors.push_back({name, static_cast<DType>(below(random, kDTypeCount)), shape,
                         appended ? Family::append_info : Family::parameter});
    }
  }
  std::ranges::sort(tensors, {}, &TensorInfo::key);
  return tensors;
}

TEST(HeadReader, RandomStructuresAreWhatTheLibrarySees) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    expect_same_as_library(random_structure(random));
  }
}

TEST(HeadReader, EveryTypeAndNoTensorAtAllAreWhatTheLibrarySees) {
  expect_same_as_library(tensors_of_every_dtype());
  expect_same_as_library(tensors_with_info());
  expect_same_as_library({});
}

TEST(HeadReader, ThousandsOfTensorsInOneGroupAreWhatTheLibrarySees) {
  std::vector<TensorInfo> tensors;  // in a B-tree of several levels
  for (int i = 0; i < 5000; ++i) {
    tensors.push_back({"group/t" + std::to_string(i), DType::bfloat16, {3}});
  }
  expect_same_as_library(sorted(tensors));
}

TEST(HeadReader, AHundredThousandTensorsAreReadInNoTime) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < 100'000; ++i) {
    tensors.push_back({"layer." + std::to_string(i / 10) + "/t" + std::to_string(i % 10),
                       DType::float32,
                       {64, 64}});
  }
  const ImageLayout layout = lay_out(sorted(tensors), kLargest);
  const Record record = record_of(layout);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(read_head(layout.head, record).size(), tensors.size());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 2.0 * cairn::testing::kSlowness);  // a tenth of a second on an idle machine
}

TEST(HeadReader, LongPathsInOneGroupThatNobodyCouldHoldAreRefusedByTheWriterToo) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < 3000; ++i) {
    tensors.push_back({std::string(100'000, 'g') + "/t" + std::to_string(i), DType::int8, {1}});
  }
  expect_error(ErrorCode::invalid_argument, {"the paths of all tensors", "64 times the head's"},
               [&] { (void)lay_out(sorted(tensors), kLargest); });
}

TEST(Lookup3, GivesTheChecksumsThatItsAuthorPublished) {
  const auto sum = [](std::string_view text) {
    return codec::lookup3(std::as_bytes(std::span(text.data(), text.size())));
  };
  EXPECT_EQ(sum(""), 0xDEADBEEFU);
  EXPECT_EQ(sum("Four score and seven years ago"), 0x17770551U);
}

}  // namespace
}  // namespace cairn::storage
