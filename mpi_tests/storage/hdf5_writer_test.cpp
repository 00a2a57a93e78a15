#include "storage/hdf5_writer.hpp"

#include "storage/expect_error.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"
#include "storage/scratch_directory.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::sample_record;
using cairn::testing::ScratchDirectory;
using cairn::testing::tensors_of_every_dtype;
using cairn::testing::write_image;

int rank_of_this() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int number_of_ranks() {
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  return ranks;
}

const TensorInfo kFloats{"large", DType::float32, {}};
const TensorInfo kDoubles{"large", DType::float64, {}};

/// The values of a tensor as bytes: any bits at all, except where a bool has only two.
std::vector<std::byte> values_of(const TensorInfo& tensor, std::size_t seed) {
  std::vector<std::byte> bytes(element_count(tensor.shape) * size_of(tensor.dtype));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t value = (i * 37 + seed * 101 + 200) % 251;
    bytes[i] = static_cast<std::byte>(tensor.dtype == DType::boolean ? value % 2 : value);
  }
  return bytes;
}

/// This rank's rows of a tensor, uneven and sometimes none; a scalar belongs to the last rank.
struct Rows {
  Shape offset;
  Shape extent;
  std::vector<std::byte> packed;
};

Rows rows_of(const TensorInfo& tensor, std::size_t seed) {
  const std::vector<std::byte> all = values_of(tensor, seed);
  if (tensor.shape.empty()) {
    const bool mine = rank_of_this() == number_of_ranks() - 1;
    return {{}, {}, mine ? all : std::vector<std::byte>{}};
  }
  const Slice slice = split(tensor.shape, 0, rank_of_this(), number_of_ranks());
  const std::size_t row = all.size() / tensor.shape[0];
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(slice.offset[0] * row);
  return {slice.offset,
          slice.extent,
          {begin, begin + static_cast<std::ptrdiff_t>(slice.extent[0] * row)}};
}

std::vector<TensorInfo> sample_tensors() {
  auto tensors = tensors_of_every_dtype();
  tensors.push_back({"large", DType::float32, {301, 1000}});
  tensors.push_back({"single row", DType::float32, {1, 50}});
  return cairn::testing::sorted(std::move(tensors));
}

std::vector<std::byte> bytes_of_file(const std::filesystem::path& path) {
  const PosixFile file = PosixFile::open_for_reading(path);
  std::vector<std::byte> bytes(file.size());
  file.read(bytes, 0);
  return bytes;
}

class Hdf5WriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path;
    if (rank_of_this() == 0) {
      directory_ = std::make_unique<ScratchDirectory>();
      path = (*directory_ / "written.h5").string();
      write_image(path, layout_, sample_record());
      write_expected();
    }
    path.resize(1000);
    MPI_Bcast(path.data(), 1000, MPI_CHAR, 0, MPI_COMM_WORLD);
    path_ = path.c_str();
  }
  void TearDown() override { MPI_Barrier(MPI_COMM_WORLD); }

  /// The same image with every value put at its offset by hand.
  void write_expected() const {
    const PosixFile file = write_image(*directory_ / "expected.h5", layout_, sample_record());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (layout_.offsets[i] != kNoOffset) {
        file.write(values_of(tensors_[i], i), layout_.offsets[i]);
      }
    }
  }

  void expect_equal_files() const {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank_of_this() != 0) return;
    const auto written = bytes_of_file(path_);
    const auto expected = bytes_of_file(*directory_ / "expected.h5");
    ASSERT_EQ(written.size(), expected.size());
    const auto [at, other] = std::ranges::mismatch(written, expected);
    EXPECT_TRUE(at == written.end()) << "differs at offset " << at - written.begin();
  }

  std::vector<TensorInfo> tensors_ = sample_tensors();
  ImageLayout layout_ = lay_out(tensors_, 1 << 20);
  std::unique_ptr<ScratchDirectory> directory_;
  std::filesystem::path path_;
};

TEST_F(Hdf5WriterTest, RowsOfAllRanksGiveTheBytesOfALayoutFilledByHand) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Rows rows = rows_of(tensors_[i], i);
    EXPECT_NO_THROW(
        writer.write(tensors_[i].name, tensors_[i], rows.offset, rows.extent, rows.packed))
        << tensors_[i].name;
  }
  writer.finish();
  expect_equal_files();
}

TEST_F(Hdf5WriterTest, WritingIsCollective) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  const auto large = std::ranges::find(tensors_, "large", &TensorInfo::name);
  const Rows rows = rows_of(*large, 0);
  writer.write(large->name, *large, rows.offset, rows.extent, rows.packed);
  EXPECT_TRUE(writer.was_collective());
  const auto scalar = std::ranges::find(tensors_, "int8/scalar", &TensorInfo::name);
  const Rows one = rows_of(*scalar, 0);
  writer.write(scalar->name, *scalar, one.offset, one.extent, one.packed);
  EXPECT_TRUE(writer.was_collective());
  writer.finish();
}

TEST_F(Hdf5WriterTest, WritingNothingChangesNothing) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  for (const TensorInfo& tensor : tensors_) writer.write(tensor.name, tensor, {}, {}, {});
  writer.finish();
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank_of_this() == 0) {
    write_image(*directory_ / "untouched.h5", layout_, sample_record());
    EXPECT_TRUE(bytes_of_file(path_) == bytes_of_file(*directory_ / "untouched.h5"));
  }
}

TEST_F(Hdf5WriterTest, AWriterThatIsDroppedClosesItsFile) {
  { const Hdf5Writer writer(path_, MPI_COMM_WORLD); }
  if (rank_of_this() == 0) {
    EXPECT_EQ(read_index(ImageFile(PosixFile::open_for_reading(path_))).tensors.size(), tensors_.size());
  }
}

TEST_F(Hdf5WriterTest, AnotherTypeThanTheFilesIsRefused) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  cairn::testing::expect_error(ErrorCode::mismatch, {"'large'", "float64"},
                               [&] { writer.write("large", kDoubles, {}, {}, {}); });
  writer.finish();
}

TEST_F(Hdf5WriterTest, ABoxThatDoesNotFitItsBytesIsRefused) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  const std::vector<std::byte> bytes(40);
  cairn::testing::expect_error(ErrorCode::invalid_argument,
                               {"'large'", "40 bytes", "[3, 3] at [0, 0]"}, [&] {
                                 writer.write("large", kFloats, {0, 0}, {3, 3}, bytes);
                               });
  cairn::testing::expect_error(ErrorCode::invalid_argument, {"'large'", "2 dimensions"},
                               [&] { writer.write("large", kFloats, {0}, {10}, bytes); });
  writer.finish();
}

TEST_F(Hdf5WriterTest, AMissingDatasetIsRefusedByName) {
  Hdf5Writer writer(path_, MPI_COMM_WORLD);
  cairn::testing::expect_error(ErrorCode::io, {"HDF5 cannot open 'nowhere'"},
                               [&] { writer.write("nowhere", kFloats, {}, {}, {}); });
  writer.finish();
}

}  // namespace
}  // namespace cairn::storage
