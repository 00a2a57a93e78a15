#include "base/slice_access.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>

#include "base/enumeration.hpp"

namespace cairn {
namespace {

using namespace testing;

constexpr std::uint64_t kSeeds = 2000;
constexpr std::array kDTypes{DType::uint8, DType::float16, DType::float32, DType::float64,
                             DType::complex128};

/// An entry over memory of its own, which begins at position `origin` of `buffer`.
struct Held {
  std::vector<std::byte> buffer;
  std::int64_t origin = 0;
  Positions positions;  ///< of each local byte, from `origin` on
  std::unique_ptr<State::Entry> entry;

  /// Where a local byte is in `buffer`.
  std::size_t place_of(std::uint64_t local) const {
    return static_cast<std::size_t>(origin + positions[local]);
  }
  std::vector<std::byte> values() const {
    std::vector<std::byte> all;
    for (std::uint64_t i = 0; i < positions.size(); ++i) all.push_back(buffer[place_of(i)]);
    return all;
  }
};

Held hold_in_strides(Random& random, const Slice& slice, DType dtype) {
  const MemoryLayout memory = random_memory(random, slice.extent, size_of(dtype));
  Held held{random_bytes(random, memory.bytes), memory.origin,
            positions_of(slice.extent, size_of(dtype), memory.strides, 0), nullptr};
  void* first = held.buffer.data() + memory.origin;
  held.entry = std::make_unique<State::Entry>(
      "x", slice, Source::memory(dtype, first, memory.strides), std::nullopt);
  return held;
}

Held hold_packed(Random& random, const Slice& slice, DType dtype) {
  const std::size_t size = size_of(dtype);
  Held held{random_bytes(random, element_count(slice.extent) * size), 0,
            positions_of(slice.extent, size, row_major_strides(slice.extent, size), 0), nullptr};
  void* first = held.buffer.data();
  held.entry =
      std::make_unique<State::Entry>("x", slice, Source::memory(dtype, first), std::nullopt);
  return held;
}

/// Callbacks that copy from and to the buffer, and never accept what leaves the slice.
Held hold_behind_callbacks(Random& random, const Slice& slice, DType dtype) {
  Held held = hold_packed(random, slice, dtype);
  std::byte* const data = held.buffer.data();
  const std::uint64_t size = size_of(dtype);
  const std::uint64_t elements = element_count(slice.extent);
  const auto check = [elements](std::uint64_t first, std::uint64_t count) {
    ASSERT_GT(count, 0U);
    ASSERT_LE(first + count, elements);
  };
  held.entry->source = Source::callbacks(
      dtype,
      [=](std::uint64_t first, std::uint64_t count, std::byte* out) {
        check(first, count);
        std::memcpy(out, data + first * size, count * size);
      },
      [=](std::uint64_t first, std::uint64_t count, const std::byte* in) {
        check(first, count);
        std::memcpy(data + first * size, in, count * size);
      });
  return held;
}

struct Case {
  explicit Case(Random& random)
      : slice(random_slice(random)), dtype(kDTypes[below(random, kDTypes.size())]) {
    switch (below(random, 3)) {
      case 0:
        held = hold_packed(random, slice, dtype);
        break;
      case 1:
        held = hold_in_strides(random, slice, dtype);
        break;
      default:
        held = hold_behind_callbacks(random, slice, dtype);
    }
  }

  Slice slice;
  DType dtype;
  Held held;
};

TEST(SliceAccess, AnyRangeReadThenThoseBytes) {
  for_seeds(kSeeds, [](Random& random) {
    Case c(random);
    const auto values = c.held.values();
    const SliceAccess access(*c.held.entry);
    for (int i = 0; i < 10; ++i) {
      const auto [first, last] = random_range(random, values.size());
      std::vector<std::byte> packed(last - first);
      access.read(first, last, packed.data());
      EXPECT_TRUE(std::equal(packed.begin(), packed.end(),
                             values.begin() + static_cast<std::ptrdiff_t>(first)))
          << "bytes " << first << " to " << last;
    }
  });
}

TEST(SliceAccess, AnyRangeWrittenThenThoseBytesAndNoOthers) {
  for_seeds(kSeeds, [](Random& random) {
    Case c(random);
    const SliceAccess access(*c.held.entry);
    for (int i = 0; i < 10; ++i) {
      const auto [first, last] = random_range(random, c.held.positions.size());
      const auto packed = random_bytes(random, last - first);
      auto expected = c.held.buffer;
      for (std::uint64_t at = first; at < last; ++at) {
        expected[c.held.place_of(at)] = packed[at - first];
      }
      access.write(first, last, packed.data());
      EXPECT_EQ(c.held.buffer, expected) << "bytes " << first << " to " << last;
    }
  });
}

/// One block of an image, and the local bytes of a slice that lie in it.
struct BlockOfImage {
  BlockOfImage(Random& random, const Slice& slice, DType dtype)
      : base(below(random, 100)),
        image(image_place(slice, size_of(dtype), base)),
        positions(image_positions(slice, size_of(dtype), base)) {
    const std::uint64_t block_bytes = 1 + below(random, 200);
    if (positions.empty()) return;
    const auto some = static_cast<std::uint64_t>(positions[below(random, positions.size())]);
    origin = some / block_bytes * block_bytes;
    const auto begin = static_cast<std::int64_t>(origin);
    while (positions[range.first] < begin) ++range.first;
    range.last = range.first;
    while (range.last < positions.size() &&
           positions[range.last] < begin + static_cast<std::int64_t>(block_bytes)) {
      ++range.last;
    }
    bytes = random_bytes(random, block_bytes);
  }
  /// Where a local byte is in `bytes`.
  std::size_t place_of(std::uint64_t local) const {
    return static_cast<std::size_t>(positions[local]) - origin;
  }

  std::uint64_t base;
  Strided image;
  Positions positions;
  std::uint64_t origin = 0;
  ByteRange range{0, 0};
  std::vector<std::byte> bytes;
};

TEST(SliceAccess, ReadIntoABlockOfTheImageThenItsBytesAndNoOthers) {
  for_seeds(kSeeds, [](Random& random) {
    const Case c(random);
    const auto values = c.held.values();
    BlockOfImage block(random, c.slice, c.dtype);
    auto expected = block.bytes;
    for (auto i = block.range.first; i < block.range.last; ++i) {
      expected[block.place_of(i)] = values[i];
    }
    SliceAccess(*c.held.entry)
        .read_into_image(block.range.first, block.range.last, block.image, block.bytes.data(),
                         block.origin);
    EXPECT_EQ(block.bytes, expected);
  });
}

TEST(SliceAccess, WrittenFromABlockOfTheImageThenItsBytesAndNoOthers) {
  for_seeds(kSeeds, [](Random& random) {
    const Case c(random);
    const BlockOfImage block(random, c.slice, c.dtype);
    auto expected = c.held.buffer;
    for (auto i = block.range.first; i < block.range.last; ++i) {
      expected[c.held.place_of(i)] = block.bytes[block.place_of(i)];
    }
    SliceAccess(*c.held.entry)
        .write_from_image(block.range.first, block.range.last, block.image, block.bytes.data(),
                          block.origin);
    EXPECT_EQ(c.held.buffer, expected);
  });
}

TEST(InPlace, AnyStridesThenOnlyABytesRunWhereItReallyIs) {
  for_seeds(kSeeds, [](Random& random) {
    const Slice slice = random_slice(random);
    const DType dtype = kDTypes[below(random, kDTypes.size())];
    Held held = hold_in_strides(random, slice, dtype);
    const SliceAccess access(*held.entry);
    for (int i = 0; i < 20 && !held.positions.empty(); ++i) {
      const auto [first, last] = random_range(random, held.positions.size());
      if (first == last) continue;
      const std::byte* const place = access.in_place(first, last);
      if (place == nullptr) continue;
      EXPECT_TRUE(is_one_run(held.positions, first, last)) << first << " to " << last;
      EXPECT_EQ(place - held.buffer.data(), static_cast<std::ptrdiff_t>(held.place_of(first)));
    }
  });
}

TEST(InPlace, PackedMemoryThenAlways) {
  for_seeds(kSeeds, [](Random& random) {
    const Slice slice = random_slice(random);
    Held held = hold_packed(random, slice, DType::float32);
    const SliceAccess access(*held.entry);
    const auto [first, last] = random_range(random, held.positions.size());
    if (first == last) return;
    EXPECT_EQ(access.in_place(first, last), held.buffer.data() + first);
  });
}

TEST(InPlace, PaddedRowsThenWithinARowOnly) {
  std::array<float, 12> values{};
  const State::Entry entry{
      "x", whole({3, 3}), Source::memory(DType::float32, values.data(), Strides{16, 4}), {}};
  const SliceAccess access(entry);
  auto* const begin = reinterpret_cast<std::byte*>(values.data());
  EXPECT_EQ(access.in_place(0, 12), begin);
  EXPECT_EQ(access.in_place(13, 24), begin + 17);
  EXPECT_EQ(access.in_place(0, 13), nullptr);
  EXPECT_EQ(access.in_place(11, 13), nullptr);
}

TEST(InPlace, ElementsBackwardsThenWithinAnElementOnly) {
  std::array<float, 3> values{};
  const State::Entry entry{
      "x", whole({3}), Source::memory(DType::float32, values.data() + 2, Strides{-4}), {}};
  const SliceAccess access(entry);
  auto* const begin = reinterpret_cast<std::byte*>(values.data());
  EXPECT_EQ(access.in_place(4, 8), begin + 4);
  EXPECT_EQ(access.in_place(4, 9), nullptr);
}

TEST(InPlace, CallbacksThenNever) {
  Random random(1);
  const Held held = hold_behind_callbacks(random, whole({4}), DType::float32);
  EXPECT_EQ(SliceAccess(*held.entry).in_place(0, 16), nullptr);
  EXPECT_EQ(SliceAccess(*held.entry).in_place(4, 8), nullptr);
}

/// Eight float64 behind callbacks that note how they were called.
class Recorded {
 public:
  struct Call {
    char what;
    std::uint64_t first;
    std::uint64_t count;
    bool operator==(const Call&) const = default;
  };

  Recorded() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i);
  }
  State::Entry entry() {
    return {"x", whole({8}),
            Source::callbacks(
                DType::float64,
                [this](std::uint64_t first, std::uint64_t count, std::byte* out) {
                  calls.push_back({'r', first, count});
                  std::memcpy(out, bytes_.data() + first * 8, count * 8);
                },
                [this](std::uint64_t first, std::uint64_t count, const std::byte* in) {
                  calls.push_back({'w', first, count});
                  std::memcpy(bytes_.data() + first * 8, in, count * 8);
                }),
            std::nullopt};
  }
  std::byte byte(std::size_t i) const { return bytes_[i]; }

  std::vector<Call> calls;

 private:
  std::array<std::byte, 64> bytes_;
};

std::ostream& operator<<(std::ostream& out, const Recorded::Call& call) {
  return out << call.what << '(' << call.first << ", " << call.count << ')';
}

using Calls = std::vector<Recorded::Call>;

TEST(Callbacks, WholeElementsThenOneCallAndNoneBeforeAWrite) {
  Recorded recorded;
  const State::Entry entry = recorded.entry();
  std::array<std::byte, 64> packed{};
  SliceAccess(entry).read(8, 56, packed.data());
  EXPECT_EQ(recorded.calls, (Calls{{'r', 1, 6}}));
  recorded.calls.clear();
  SliceAccess(entry).write(8, 56, packed.data());
  EXPECT_EQ(recorded.calls, (Calls{{'w', 1, 6}}));
}

TEST(Callbacks, ElementsCutAtBothEndsThenTheseAreReadBeforeTheyAreWritten) {
  Recorded recorded;
  const State::Entry entry = recorded.entry();
  const std::array<std::byte, 64> zeros{};
  SliceAccess(entry).write(13, 27, zeros.data());
  EXPECT_EQ(recorded.calls,
            (Calls{{'r', 1, 1}, {'w', 1, 1}, {'w', 2, 1}, {'r', 3, 1}, {'w', 3, 1}}));
  for (std::size_t i = 0; i < 64; ++i) {
    const bool written = i >= 13 && i < 27;
    EXPECT_EQ(recorded.byte(i), written ? std::byte{0} : static_cast<std::byte>(i)) << i;
  }
}

TEST(Callbacks, RangeWithinOneElementThenThatElementAlone) {
  Recorded recorded;
  const State::Entry entry = recorded.entry();
  std::array<std::byte, 3> packed{};
  SliceAccess(entry).read(18, 21, packed.data());
  EXPECT_EQ(recorded.calls, (Calls{{'r', 2, 1}}));
  EXPECT_EQ(packed, (std::array{std::byte{18}, std::byte{19}, std::byte{20}}));
}

TEST(Callbacks, NothingWithinAnElementThenNoCall) {
  Recorded recorded;
  const State::Entry entry = recorded.entry();
  SliceAccess(entry).read(19, 19, nullptr);
  SliceAccess(entry).write(19, 19, nullptr);
  EXPECT_EQ(recorded.calls, Calls{});
}

TEST(SliceAccess, ConstantMemoryThenRead) {
  const std::array<std::uint8_t, 4> values{1, 2, 3, 4};
  const State::Entry entry{"x", whole({4}), Source::memory(DType::uint8, values.data()), {}};
  EXPECT_FALSE(entry.source.writable());
  std::array<std::byte, 2> packed{};
  SliceAccess(entry).read(1, 3, packed.data());
  EXPECT_EQ(packed, (std::array{std::byte{2}, std::byte{3}}));
}

}  // namespace
}  // namespace cairn
