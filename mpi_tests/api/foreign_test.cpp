// HDF5 files that Cairn did not write, loaded on any number of ranks. h5py writes them.
#include <hdf5.h>

#include <complex>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "api/world.hpp"
#include "base/convert.hpp"

namespace cairn::test {
namespace {

// As in make_foreign.py.
const Shape kShape{60, 35};
std::uint64_t value_at(std::uint64_t i, std::uint64_t j) {
  return (i * kShape[1] + j) % 100;
}

/// The bytes that an element of that value has.
std::vector<std::byte> element(DType dtype, std::uint64_t value) {
  std::vector<std::byte> bytes(size_of(dtype));
  if (dtype == DType::complex64) {
    const std::complex<float> number(static_cast<float>(value), 0);
    std::memcpy(bytes.data(), &number, sizeof number);
  } else if (dtype == DType::complex128) {
    const std::complex<double> number(static_cast<double>(value), 0);
    std::memcpy(bytes.data(), &number, sizeof number);
  } else if (dtype == DType::boolean) {
    bytes[0] = std::byte(value % 3 == 0);
  } else if (dtype <= DType::float8_e5m2) {
    const auto number = static_cast<double>(value);
    convert(DType::float64, reinterpret_cast<const std::byte*>(&number), dtype, bytes.data(), 1);
  } else {
    convert(DType::uint64, reinterpret_cast<const std::byte*>(&value), dtype, bytes.data(), 1);
  }
  return bytes;
}

std::vector<std::byte> expected_in(const Slice& slice, DType dtype) {
  std::vector<std::byte> all;
  for (std::uint64_t i = 0; i < slice.extent[0]; ++i) {
    for (std::uint64_t j = 0; j < slice.extent[1]; ++j) {
      const auto one = element(dtype, value_at(slice.offset[0] + i, slice.offset[1] + j));
      all.insert(all.end(), one.begin(), one.end());
    }
  }
  return all;
}

class Foreign : public World {
 protected:
  Foreign() {
    // Without mpirun's environment, in which Debian's h5py would take part in MPI.
    on_root([&] {
      const std::string command =
          "env -i /usr/bin/python3 " CAIRN_MAKE_FOREIGN " " + directory().string();
      EXPECT_EQ(std::system(command.c_str()), 0);
    });
  }

  static std::vector<Slice> slicings() {
    return {split(kShape, 0, rank(), ranks()), split(kShape, 1, rank(), ranks()), whole(kShape),
            rank() == 0 ? Slice{kShape, {3, 5}, {20, 11}} : Slice{kShape, {0, 0}, {0, 0}}};
  }

  static LoadOptions loosely() { return {.strict = false}; }

  /// Loads that one tensor in every slicing, and looks at each element.
  void expect_values(const std::string& file, const std::string& name, DType dtype) const {
    SCOPED_TRACE(name);
    for (const Slice& slice : slicings()) {
      std::vector<std::byte> memory(element_count(slice.extent) * size_of(dtype), std::byte{0xEE});
      State state;
      state.add(name, slice, Source::memory(dtype, memory.data()));
      const LoadReport report = load(MPI_COMM_WORLD, path(file), state, loosely());
      EXPECT_TRUE(report.missing.empty() && report.different.empty());
      EXPECT_TRUE(memory == expected_in(slice, dtype)) << "offset " << to_string(slice.offset);
    }
  }
};

TEST_F(Foreign, NumbersOfEveryTypeAndByteOrder) {
  const std::vector<std::pair<std::string, DType>> types{
      {"f8", DType::float64},     {"f4", DType::float32},  {"f2", DType::float16},
      {"i1", DType::int8},        {"u1", DType::uint8},    {"i2", DType::int16},
      {"u2", DType::uint16},      {"i4", DType::int32},    {"u4", DType::uint32},
      {"i8", DType::int64},       {"u8", DType::uint64},   {"c8", DType::complex64},
      {"c16", DType::complex128}, {"bool", DType::boolean}};
  for (const auto& [name, dtype] : types) {
    expect_values("numbers.h5", "little/" + name, dtype);
    expect_values("numbers.h5", "big/" + name, dtype);
  }
}

TEST_F(Foreign, EveryWayToStoreThem) {
  for (const char* name :
       {"contiguous", "chunked", "gzip", "shuffle", "fletcher32", "all", "resizable"}) {
    expect_values("storage.h5", std::string("deep/er/") + name, DType::float32);
  }
  expect_values("storage.h5", "big gzip", DType::float32);
}

TEST_F(Foreign, WhatWasNeverWrittenIsTheFillValue) {
  std::vector<float> never(element_count(kShape));
  std::vector<float> half(element_count(kShape));
  State state;
  state.add("never written", std::span(never), whole(kShape));
  state.add("half written", std::span(half), whole(kShape));
  load(MPI_COMM_WORLD, path("storage.h5"), state, loosely());
  EXPECT_EQ(never, std::vector<float>(never.size(), 7));
  for (std::size_t i = 0; i < half.size(); ++i) {
    EXPECT_EQ(half[i], i < half.size() / 2 ? static_cast<float>(i % 100) : 7.0F) << i;
  }
}

TEST_F(Foreign, ScalarsAndEmptyTensors) {
  double scalar = 0;
  std::int32_t nothing = 3;
  State state;
  state.add("scalar", scalar).add("empty", whole({4, 0}), Source::memory(DType::int32, &nothing));
  load(MPI_COMM_WORLD, path("storage.h5"), state, loosely());
  EXPECT_EQ(scalar, 2.5);
  EXPECT_EQ(nothing, 3);
}

TEST_F(Foreign, MuchMoreThanTheStagingBudgetGoesThroughIt) {
  const Shape shape{512, 300};
  const Slice slice = split(shape, 1, rank(), ranks());
  // Columns of a larger array: nothing of it is one run.
  const std::uint64_t pitch = slice.extent[1] + 3;
  std::vector<double> padded(shape[0] * pitch, -1);
  const auto row_bytes = static_cast<std::ptrdiff_t>(pitch * sizeof(double));
  State state;
  state.add("large", slice, Source::memory(DType::float64, padded.data(), {row_bytes, 8}));
  LoadOptions options = loosely();
  options.staging_bytes = 100'000;
  const LoadReport report = load(MPI_COMM_WORLD, path("storage.h5"), state, options);
  EXPECT_LE(report.staged_peak, options.staging_bytes);
  EXPECT_GT(report.staged_peak, 0U);
  for (std::uint64_t i = 0; i < shape[0]; ++i) {
    for (std::uint64_t j = 0; j < pitch; ++j) {
      const double expected =
          j < slice.extent[1] ? static_cast<double>(i * shape[1] + slice.offset[1] + j) : -1;
      ASSERT_EQ(padded[i * pitch + j], expected) << i << ", " << j;
    }
  }
}

TEST_F(Foreign, CallbacksAndOtherTypesAreFilledToo) {
  const Shape shape{512, 300};
  const Slice slice = split(shape, 0, rank(), ranks());
  std::vector<float> values(element_count(slice.extent));
  const auto write = [&](std::uint64_t first, std::uint64_t count, const std::byte* in) {
    std::memcpy(values.data() + first, in, count * sizeof(float));
  };
  const auto read = [&](std::uint64_t first, std::uint64_t count, std::byte* out) {
    std::memcpy(out, values.data() + first, count * sizeof(float));
  };
  State state;
  state.add("large", slice, Source::callbacks(DType::float32, read, write));
  load(MPI_COMM_WORLD, path("storage.h5"), state,
       {.strict = false, .convert_dtype = true, .staging_bytes = 1});
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], static_cast<float>(slice.offset[0] * shape[1] + i));
  }
}

TEST_F(Foreign, TheRulesOfEveryLoadHold) {
  std::vector<float> tensor(element_count(kShape));
  float more = -1;
  State state;
  state.add("model.tensor", std::span(tensor), whole(kShape));
  if (rank() == ranks() - 1) state.add("model.more", more);
  const LoadOptions strict{.strip_prefix = "model."};
  expect_error([&] { load(MPI_COMM_WORLD, path("others.h5"), state, strict); }, ErrorCode::mismatch,
               {"missing in the file: \"model.more\"", "(state unchanged)"});
  EXPECT_EQ(tensor[1], 0);
  const LoadReport report =
      load(MPI_COMM_WORLD, path("others.h5"), state, {.strict = false, .strip_prefix = "model."});
  EXPECT_EQ(tensor[1], 1);
  EXPECT_EQ(report.missing, std::vector<std::string>{"\"model.more\" float32 []"});
}

TEST_F(Foreign, MapsAreNotThereAndSaidToBeMissing) {
  std::vector<float> tensor(element_count(kShape));
  MapParameter map = MapParameter::of<std::int64_t, float>({2});
  const std::vector<float> row(2, 1.0F);
  map.put(7, std::span(row));
  State state;
  state.add("tensor", std::span(tensor), whole(kShape)).add("embedding", map);
  expect_error([&] { load(MPI_COMM_WORLD, path("others.h5"), state); }, ErrorCode::mismatch,
               {"missing in the file", "embedding", "(state unchanged)"});
  const LoadReport report = load(MPI_COMM_WORLD, path("others.h5"), state, {.strict = false});
  EXPECT_FALSE(report.missing.empty());
  EXPECT_EQ(tensor[1], 1);
  EXPECT_TRUE(map.contains(7)) << "as it was";
}

TEST_F(Foreign, WhatIsNoTensorIsInNobodysWayAndRefusedByItsTypeWhenAskedFor) {
  std::vector<float> tensor(element_count(kShape));
  State alone;
  alone.add("tensor", std::span(tensor), whole(kShape));
  const LoadReport report = load(MPI_COMM_WORLD, path("others.h5"), alone);  // strict
  EXPECT_TRUE(report.foreign);
  EXPECT_EQ(report.path, path("others.h5"));
  EXPECT_EQ(report.tensors, 1U);
  EXPECT_EQ(report.bytes_read, tensor.size() * 4 * static_cast<std::uint64_t>(ranks()));
  EXPECT_EQ(report.bytes_needed, tensor.size() * 4);
  EXPECT_EQ(tensor[99], 99);

  const std::vector<std::pair<std::string, std::string>> others{
      {"text", "holds strings"},
      {"words", "holds strings"},
      {"table", "holds compounds of 8 bytes"},
      {"reference", "holds references"},
      {"type", "is a type, no dataset"},
      {"nothing", "has no shape"},
      {"lzf", "needs the filter 32000 (lzf), which is not HDF5's own"}};
  for (const auto& [name, why] : others) {
    float value = 0;
    State state;
    if (rank() == ranks() - 1) state.add(name, value);
    expect_error([&] { load(MPI_COMM_WORLD, path("others.h5"), state, loosely()); },
                 ErrorCode::mismatch, {"'" + name + "' in", why, "(state unchanged)"});
  }
}

TEST_F(Foreign, RestoreTakesCheckpointsOnly) {
  on_root([&] {
    std::filesystem::create_directory(path("run"));
    std::filesystem::copy_file(path("others.h5"), path("run/CKP-1_5.h5"));
  });
  std::vector<float> tensor(element_count(kShape));
  State state;
  state.add("tensor", std::span(tensor), whole(kShape));
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "CKP", path("run"));
  expect_error([&] { checkpoint.restore(state); }, ErrorCode::damaged,
               {"CKP-1_5.h5", "not a Cairn checkpoint"});
  EXPECT_EQ(tensor[1], 0);
}

TEST_F(Foreign, TypesThatHdf5HasNoNameForInBothByteOrders) {
  // bfloat16 as bits of the upper half of float32; h5py cannot write it.
  on_root([&] {
    const hid_t file = H5Fcreate(path("bf.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 7, 8, 0, 7);
    H5Tset_precision(type, 16);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 127);
    const hsize_t count = 3;
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const std::uint16_t bits[3] = {0x3F80, 0x4049, 0xFF80};  // 1, about pi, -infinity
    for (const char* name : {"little", "big"}) {
      const hid_t stored = H5Tcopy(type);
      if (name[0] == 'b') H5Tset_order(stored, H5T_ORDER_BE);
      const hid_t dataset =
          H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bits);
      H5Dclose(dataset);
      H5Tclose(stored);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Fclose(file);
  });
  for (const char* name : {"little", "big"}) {
    std::uint16_t bits[3] = {0, 0, 0};
    State state;
    state.add(name, whole({3}), Source::memory(DType::bfloat16, bits));
    load(MPI_COMM_WORLD, path("bf.h5"), state, loosely());
    EXPECT_EQ(bits[0], 0x3F80);
    EXPECT_EQ(bits[1], 0x4049);
    EXPECT_EQ(bits[2], 0xFF80);
  }
}

}  // namespace
}  // namespace cairn::test
