// What is saved in one layout is loaded in another, on other ranks, from any kind of memory.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <random>

#include "api/world.hpp"

namespace cairn::test {
namespace {

/// Every element says where it is: a value that no other place and no other tensor has.
std::uint64_t value_at(std::uint64_t tensor, std::uint64_t index) {
  return (tensor + 1) * 0x9E3779B97F4A7C15U ^ index * 0xD1B54A32D192ED03U;
}

std::uint64_t global_index(const Slice& slice, std::uint64_t local) {
  std::uint64_t index = 0;
  std::uint64_t stride = 1;
  for (std::size_t d = slice.global.size(); d-- > 0;) {
    index += (slice.offset[d] + local % slice.extent[d]) * stride;
    local /= slice.extent[d];
    stride *= slice.global[d];
  }
  return index;
}

/// A slice with memory of its own, of any element size up to 8 bytes, each row `padding` elements
/// longer than the slice in every dimension.
struct Piece {
  Piece(std::uint64_t tensor_, DType dtype_, Slice slice_, std::uint64_t padding = 0)
      : tensor(tensor_), dtype(dtype_), slice(std::move(slice_)) {
    std::uint64_t size = size_of(dtype);
    strides.resize(slice.extent.size());
    for (std::size_t d = strides.size(); d-- > 0;) {
      strides[d] = static_cast<std::ptrdiff_t>(size);
      size *= slice.extent[d] + padding;
    }
    bytes.assign(size, kUntouched);
  }

  void fill() {
    for_each([&](std::byte* at, std::uint64_t value) { std::memcpy(at, &value, size_of(dtype)); });
  }
  [[nodiscard]] std::uint64_t count_wrong() {
    std::uint64_t wrong = 0;
    for_each([&](std::byte* at, std::uint64_t value) {
      wrong += std::memcmp(at, &value, size_of(dtype)) != 0 ? 1 : 0;
      std::fill_n(at, size_of(dtype), kUntouched);
    });
    // What lies between the rows is nobody's business.
    return wrong + static_cast<std::uint64_t>(std::ranges::count_if(
                       bytes, [](std::byte byte) { return byte != kUntouched; }));
  }
  void for_each(const std::function<void(std::byte*, std::uint64_t)>& visit) {
    const std::uint64_t count = element_count(slice.extent);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::ptrdiff_t at = 0;
      std::uint64_t rest = i;
      for (std::size_t d = strides.size(); d-- > 0;) {
        at += static_cast<std::ptrdiff_t>(rest % slice.extent[d]) * strides[d];
        rest /= slice.extent[d];
      }
      visit(bytes.data() + at, value_at(tensor, global_index(slice, i)));
    }
  }

  static constexpr std::byte kUntouched{0xA7};
  std::uint64_t tensor;
  DType dtype;
  Slice slice;
  std::vector<std::ptrdiff_t> strides;
  std::vector<std::byte> bytes;
};

class RoundTrip : public World {
 protected:
  void add(State& state, std::deque<Piece>& pieces, std::uint64_t tensor, DType dtype, Slice slice,
           std::uint64_t padding = 0) {
    Piece& piece = pieces.emplace_back(tensor, dtype, std::move(slice), padding);
    state.add("tensor" + std::to_string(tensor), piece.slice,
              Source::memory(dtype, piece.bytes.data(), piece.strides));
  }
  static void expect_right(std::deque<Piece>& pieces) {
    for (Piece& piece : pieces) {
      EXPECT_EQ(piece.count_wrong(), 0U)
          << "tensor" << piece.tensor << " at " << to_string(piece.slice.offset);
    }
  }
};

const std::vector<DType> kTypes{DType::float32, DType::float64, DType::bfloat16,
                                DType::uint8,   DType::int16,   DType::float8_e4m3};

/// Cuts a box at random places into boxes for all ranks; some ranks get nothing, some several.
std::vector<std::vector<Slice>> random_boxes(const Shape& shape, int ranks, std::mt19937& random) {
  std::vector<Slice> boxes{whole(shape)};
  const auto below = [&](std::uint64_t n) { return random() % n; };
  for (std::uint64_t cuts = below(6); cuts > 0 && !shape.empty(); --cuts) {
    const std::size_t which = below(boxes.size());
    const std::size_t dim = below(shape.size());
    if (boxes[which].extent[dim] < 2) continue;
    Slice upper = boxes[which];
    const std::uint64_t at = 1 + below(upper.extent[dim] - 1);
    boxes[which].extent[dim] = at;
    upper.offset[dim] += at;
    upper.extent[dim] -= at;
    boxes.push_back(std::move(upper));
  }
  std::vector<std::vector<Slice>> of_rank(static_cast<std::size_t>(ranks));
  for (Slice& box : boxes) {
    const std::size_t holders = 1 + below(3) / 2;  // now and then a replica
    for (std::size_t i = 0; i < holders; ++i) of_rank[below(of_rank.size())].push_back(box);
  }
  return of_rank;
}

/// Several boxes of a rank may be the same after this; a rank must not hold a box twice.
void deduplicate(std::vector<Slice>& boxes) {
  std::vector<Slice> distinct;
  for (Slice& box : boxes) {
    if (std::ranges::find(distinct, box) == distinct.end()) distinct.push_back(std::move(box));
  }
  boxes = std::move(distinct);
}

/// How many random cases: few in CI, many where CAIRN_RANDOM_CASES says so.
unsigned random_cases() {
  const char* given = std::getenv("CAIRN_RANDOM_CASES");
  return given != nullptr ? static_cast<unsigned>(std::stoul(given)) : 24;
}

/// Of the kinds of saves and the writers, each in its turn.
SaveOptions options_of(unsigned seed) {
  SaveOptions options;
  options.integrated_save = seed % 3 != 0;
  options.writer = seed % 3 == 1 ? Writer::hdf5 : Writer::direct;
  options.block_bytes = 65536;
  options.staging_bytes = seed % 2 == 0 ? 1 : std::size_t{64} << 20;
  return options;
}

TEST_F(RoundTrip, RandomLayoutsOverRandomBlocks) {
  for (unsigned seed = 1; seed <= random_cases(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);  // the same on every rank
    std::deque<Piece> saved;
    std::deque<Piece> loaded;
    State from;
    State to;
    constexpr std::uint64_t kTensors = 6;
    for (std::uint64_t t = 0; t < kTensors; ++t) {
      Shape shape(random() % 6);
      const std::uint64_t longest = shape.size() > 3 ? 12 : 60;
      for (auto& extent : shape) extent = 1 + random() % longest;
      const DType dtype = kTypes[random() % kTypes.size()];
      auto boxes = random_boxes(shape, ranks(), random)[static_cast<std::size_t>(rank())];
      auto wanted = random_boxes(shape, ranks(), random)[static_cast<std::size_t>(rank())];
      deduplicate(boxes);
      const std::uint64_t padding = random() % 3;
      for (Slice& box : boxes) add(from, saved, t, dtype, box, padding);
      for (Slice& box : wanted) add(to, loaded, t, dtype, box, 2 - padding);
      if (!shape.empty() && rank() == 0) {  // an empty box says nothing, and harms nothing
        Slice empty = whole(shape);
        empty.extent[0] = 0;
        add(from, saved, t, dtype, empty);
      }
    }
    for (Piece& piece : saved) piece.fill();
    save(MPI_COMM_WORLD, path("x"), from, options_of(seed));
    const LoadReport report = load(MPI_COMM_WORLD, path("x"), to);
    expect_right(loaded);
    EXPECT_EQ(report.tensors, kTensors);
    EXPECT_EQ(names(), std::vector<std::string>{"x"});
  }
  if (rank() == 0) std::printf("seeds 1 to %u\n", random_cases());
}

TEST_F(RoundTrip, ManyBlocksMoveThroughStagingOfFour) {
  // 24 MiB in blocks of 64 KiB: columns to rows and back.
  const Shape shape{1536, 4096};
  std::deque<Piece> columns;
  State from;
  add(from, columns, 0, DType::float32, split(shape, 1, rank(), ranks()));
  columns.front().fill();
  SaveOptions options;
  options.block_bytes = 65536;
  options.staging_bytes = 1;
  const SaveReport report = save(MPI_COMM_WORLD, path("x.h5"), from, options);
  EXPECT_EQ(report.staged_peak, 4U * 65536U);

  std::deque<Piece> rows;
  State to;
  add(to, rows, 0, DType::float32, split(shape, 0, rank(), ranks()));
  LoadOptions load_options;
  load_options.staging_bytes = 1;
  const LoadReport loaded = load(MPI_COMM_WORLD, path("x.h5"), to, load_options);
  expect_right(rows);
  EXPECT_EQ(loaded.bytes_read, loaded.bytes_needed) << "each block is read once over all ranks";
}

TEST_F(RoundTrip, SameBoxAskedForByAllIsReadOnce) {
  const Shape shape{512, 1024};
  std::deque<Piece> parts;
  State from;
  add(from, parts, 0, DType::float64, split(shape, 0, rank(), ranks()));
  parts.front().fill();
  save(MPI_COMM_WORLD, path("x.h5"), from);
  std::deque<Piece> all;
  State to;
  add(to, all, 0, DType::float64, whole(shape));
  add(to, all, 0, DType::float64, whole(shape));  // twice on each rank
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), to);
  expect_right(all);
  EXPECT_EQ(report.bytes_read, 512U * 1024U * 8U);
  EXPECT_EQ(report.bytes_filled, report.bytes_read * 2U * static_cast<unsigned>(ranks()));
}

TEST_F(RoundTrip, FewerRanksLoadWhatMoreSaved) {
  const Shape shape{97, 89};
  std::deque<Piece> saved;
  State from;
  add(from, saved, 0, DType::int16, split(shape, 0, rank(), ranks()));
  saved.front().fill();
  save(MPI_COMM_WORLD, path("x.h5"), from);
  for (int m = 1; m <= ranks(); ++m) {
    MPI_Comm some = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank() < m ? 0 : MPI_UNDEFINED, rank(), &some);
    if (some == MPI_COMM_NULL) continue;
    std::deque<Piece> loaded;
    State to;
    add(to, loaded, 0, DType::int16, split(shape, 1, rank(), m));
    EXPECT_NO_THROW(load(some, path("x.h5"), to));
    expect_right(loaded);
    MPI_Comm_free(&some);
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

TEST_F(RoundTrip, StridedMemoryWithGhostZonesStaysUntouchedAround) {
  const Slice slice = split({12, 10}, 0, rank(), ranks());
  const std::uint64_t rows = slice.extent[0];
  // A halo of one element around, and rows padded to 16.
  const std::size_t pitch = 16;
  std::vector<float> padded((rows + 2) * pitch, -1.0F);
  const auto at = [&](std::uint64_t i, std::uint64_t j) -> float& {
    return padded[(i + 1) * pitch + j + 1];
  };
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < 10; ++j)
      at(i, j) = static_cast<float>((slice.offset[0] + i) * 10 + j);
  }
  const std::vector<float> before = padded;
  State state;
  state.add("w", slice, Source::memory(DType::float32, &at(0, 0), {pitch * 4, 4}));
  save(MPI_COMM_WORLD, path("x.h5"), state);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < 10; ++j) at(i, j) = 0;
  }
  load(MPI_COMM_WORLD, path("x.h5"), state);
  EXPECT_EQ(padded, before);
}

TEST_F(RoundTrip, CallbacksSeeElementRangesOnly) {
  for (const bool integrated : {true, false}) {
    // Memory that Cairn cannot see, as a device has it; uint8 before it puts the elements at odd
    // places, so that block boundaries cut some.
    const Shape shape{30'001};
    std::vector<std::byte> odd(7);
    const Slice slice = split(shape, 0, rank(), ranks());
    std::vector<std::complex<double>> device(slice.extent[0]);
    for (std::size_t i = 0; i < device.size(); ++i) {
      device[i] = {static_cast<double>(slice.offset[0] + i), -1.0};
    }
    const auto before = device;
    const auto source = Source::callbacks(
        DType::complex128,
        [&](std::uint64_t first, std::uint64_t count, std::byte* out) {
          ASSERT_LE(first + count, device.size());
          std::memcpy(out, device.data() + first, count * 16);
        },
        [&](std::uint64_t first, std::uint64_t count, const std::byte* in) {
          ASSERT_LE(first + count, device.size());
          std::memcpy(device.data() + first, in, count * 16);
        });
    State state;
    state.add("a", Slice{{7}, {0}, {7}}, Source::memory(DType::uint8, odd.data()))
        .add("b", slice, source);
    SaveOptions options;
    options.block_bytes = 65536;
    options.integrated_save = integrated;
    save(MPI_COMM_WORLD, path("x"), state, options);
    std::ranges::fill(device, std::complex<double>(0, 0));
    load(MPI_COMM_WORLD, path("x"), state);
    EXPECT_EQ(device, before);
  }
}

TEST_F(RoundTrip, ScalarsEmptyTensorsAndEmptyStates) {
  std::int64_t scalar = 42;
  State state;
  state.add("scalar", scalar)
      .add("empty", Slice{{0, 5}, {0, 0}, {0, 5}},
           Source::memory(DType::float32, static_cast<void*>(nullptr)));
  save(MPI_COMM_WORLD, path("x.h5"), state);
  scalar = 0;
  load(MPI_COMM_WORLD, path("x.h5"), state);
  EXPECT_EQ(scalar, 42);

  State nothing;
  save(MPI_COMM_WORLD, path("y.h5"), nothing);
  EXPECT_EQ(load(MPI_COMM_WORLD, path("y.h5"), nothing).tensors, 0U);
}

TEST_F(RoundTrip, TensorsOfOneStageOnly) {
  // A pipeline: each tensor lives on one rank.
  std::deque<Piece> pieces;
  State state;
  for (std::uint64_t t = 0; t < 10; ++t) {
    if (t % static_cast<unsigned>(ranks()) == static_cast<unsigned>(rank())) {
      add(state, pieces, t, DType::float32, whole({100, 100}));
    }
  }
  for (Piece& piece : pieces) piece.fill();
  save(MPI_COMM_WORLD, path("x.h5"), state);
  for (Piece& piece : pieces) std::ranges::fill(piece.bytes, std::byte{0});
  load(MPI_COMM_WORLD, path("x.h5"), state);
  expect_right(pieces);
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(RoundTrip, BytesDependOnTheStateAlone) {
  const Shape shape{333, 257};
  SaveOptions options;
  options.saved_at = Time(std::chrono::seconds(1000));
  const auto save_as = [&](const std::string& name, Slice slice, MPI_Comm comm) {
    std::deque<Piece> pieces;
    State state;
    add(state, pieces, 0, DType::float32, std::move(slice));
    pieces.front().fill();
    save(comm, path(name), state, options);
  };
  save_as("rows.h5", split(shape, 0, rank(), ranks()), MPI_COMM_WORLD);
  save_as("columns.h5", split(shape, 1, rank(), ranks()), MPI_COMM_WORLD);
  save_as("whole.h5", whole(shape), MPI_COMM_WORLD);
  options.writer = Writer::hdf5;
  save_as("hdf5.h5", split(shape, 1, rank(), ranks()), MPI_COMM_WORLD);
  options.writer = Writer::direct;
  on_root([&] { save_as("alone.h5", whole(shape), MPI_COMM_SELF); });
  on_root([&] {
    const std::string alone = bytes_of(path("alone.h5"));
    for (const char* other : {"rows.h5", "columns.h5", "whole.h5", "hdf5.h5"}) {
      EXPECT_EQ(bytes_of(path(other)), alone) << other;
    }
  });
}

TEST_F(RoundTrip, SaveOverTheSamePathReplacesIt) {
  float value = 1;
  State state;
  state.add("value", value);
  save(MPI_COMM_WORLD, path("x.h5"), state);
  value = 2;
  save(MPI_COMM_WORLD, path("x.h5"), state);
  value = 0;
  load(MPI_COMM_WORLD, path("x.h5"), state);
  EXPECT_EQ(value, 2);
  EXPECT_EQ(names(), std::vector<std::string>{"x.h5"});
}

TEST_F(RoundTrip, TheUsersCommunicatorKeepsItsErrorHandler) {
  MPI_Comm mine = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &mine);
  MPI_Comm_set_errhandler(mine, MPI_ERRORS_ARE_FATAL);
  float value = 1;
  State state;
  state.add("value", value);
  save(mine, path("x.h5"), state);
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(mine, &handler);
  EXPECT_EQ(handler, MPI_ERRORS_ARE_FATAL);
  MPI_Errhandler_free(&handler);
  MPI_Comm_free(&mine);
}

}  // namespace
}  // namespace cairn::test
