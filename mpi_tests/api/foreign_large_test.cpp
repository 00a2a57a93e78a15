// A dataset of more than 2 GiB, which HDF5's MPI-IO driver cannot read in one go.
#include <hdf5.h>

#include <cstring>

#include "api/world.hpp"

namespace cairn::test {
namespace {

constexpr std::uint64_t kCount = (std::uint64_t{5} << 29) + 3;  // int8: 2.5 GiB and a bit

using LargeForeign = World;

/// Three int8 at the end of a file that is sparse otherwise. Local.
void make(const std::string& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t count = kCount;
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
  const hid_t dataset = H5Dcreate2(file, "t", H5T_STD_I8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
  const hsize_t start = kCount - 3;
  const hsize_t part = 3;
  const std::int8_t end[3] = {1, 2, 3};
  const hid_t memory = H5Screate_simple(1, &part, nullptr);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &part, nullptr);
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_INT8, memory, space, H5P_DEFAULT, end), 0);
  for (const hid_t id : {memory, space}) H5Sclose(id);
  H5Pclose(list);
  H5Dclose(dataset);
  H5Fclose(file);
}

TEST_F(LargeForeign, IsReadInPiecesHoweverMuchMayBeStaged) {
  on_root([&] { make(path("x.h5")); });
  std::uint64_t next = 0;
  std::uint64_t sum = 0;
  const auto write = [&](std::uint64_t first, std::uint64_t count, const std::byte* in) {
    EXPECT_EQ(first, next);
    next = first + count;
    if (next == kCount)
      sum = std::to_integer<unsigned>(in[count - 3]) * 10000U +
            std::to_integer<unsigned>(in[count - 2]) * 100U +
            std::to_integer<unsigned>(in[count - 1]);
  };
  const auto read = [](std::uint64_t, std::uint64_t count, std::byte* out) {
    std::memset(out, 0, count);
  };
  State state;
  if (rank() == 0) state.add("t", whole({kCount}), Source::callbacks(DType::int8, read, write));
  LoadOptions options;
  options.staging_bytes = std::size_t{4} << 30;
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), state, options);
  EXPECT_EQ(report.bytes_filled, kCount);
  EXPECT_LT(report.staged_peak, std::uint64_t{2} << 30);
  if (rank() == 0) {
    EXPECT_EQ(next, kCount);
    EXPECT_EQ(sum, 10203U);
  }
}

}  // namespace
}  // namespace cairn::test
