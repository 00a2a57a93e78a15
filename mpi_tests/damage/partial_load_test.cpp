// A job that reads a part of a checkpoint with CRCs: damage elsewhere is none of its business, and
// damage in what it reads names the place and the tensors. The places are HDF5's word, not Cairn's.
#include <hdf5.h>

#include <numeric>

#include "damage/victim.hpp"

namespace cairn::test {
namespace {

struct Dataset {
  std::string name;
  std::uint64_t offset;
  std::uint64_t bytes;
};

/// Every dataset of a file but Cairn's own.
std::vector<Dataset> datasets_of(const fs::path& path) {
  std::vector<Dataset> all;
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  EXPECT_GE(file, 0);
  const auto visit = [](hid_t group, const char* name, const H5L_info_t*, void* out) -> herr_t {
    if (std::string(name).starts_with(".cairn")) return 0;
    const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
    static_cast<std::vector<Dataset>*>(out)->push_back(
        {name, H5Dget_offset(dataset), H5Dget_storage_size(dataset)});
    H5Dclose(dataset);
    return 0;
  };
  EXPECT_GE(H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, visit, &all), 0);
  H5Fclose(file);
  return all;
}

class PartialLoad : public World, public ::testing::WithParamInterface<bool> {
 protected:
  static constexpr std::uint64_t kRows = 256;
  static constexpr std::uint64_t kColumns = 600;
  static constexpr std::uint64_t kRowBytes = kColumns * sizeof(float);

  PartialLoad() {
    fill(a_, 0.5F);
    fill(b_, 0.25F);
    State state;
    state.add("a", std::span(a_), rows()).add("b", std::span(b_), rows());
    state.add("tiny.1", one_).add("tiny.2", two_);
    SaveOptions options;
    options.crc_check = true;
    options.integrated_save = !GetParam();
    save(MPI_COMM_WORLD, path("x"), state, options);
  }

  static Slice rows() { return split({kRows, kColumns}, 0, rank(), ranks()); }
  static float value(std::uint64_t row, std::uint64_t column, float fraction) {
    return static_cast<float>(row * kColumns + column) + fraction;
  }
  static void fill(std::vector<float>& values, float fraction) {
    const Slice mine = rows();
    values.clear();
    for (std::uint64_t r = 0; r < mine.extent[0]; ++r) {
      for (std::uint64_t c = 0; c < kColumns; ++c) {
        values.push_back(value(mine.offset[0] + r, c, fraction));
      }
    }
  }
  [[nodiscard]] fs::path file_of_last_rank() const {
    if (!GetParam()) return path("x");
    const std::string n = std::to_string(ranks());
    return path("x") / ("shard-" + std::to_string(ranks() - 1) + "of" + n + ".h5");
  }

  /// Damages one byte of the dataset that begins with `prefix`, `from_end` bytes before its end,
  /// and notes which block that is in and which tensors have bytes there.
  void damage(const std::string& prefix, std::uint64_t from_end) {
    std::string told;
    on_root([&] {
      const fs::path file = file_of_last_rank();
      const std::vector<Dataset> all = datasets_of(file);
      const auto hit = std::ranges::find_if(
          all, [&](const Dataset& one) { return one.name.starts_with(prefix); });
      ASSERT_NE(hit, all.end());
      const std::uint64_t offset = hit->offset + hit->bytes - from_end;
      flip_bit(file, offset, 5);
      const std::uint64_t block = places_of(file).block_bytes;
      const std::uint64_t begin = offset / block * block;
      std::vector<std::string> names;
      for (const Dataset& one : all) {
        if (one.offset < begin + block && begin < one.offset + one.bytes) {
          names.push_back("'" + one.name.substr(0, one.name.find('[')) + "'");
        }
      }
      std::ranges::sort(names);
      for (const std::string& name : names) {
        if (!told.empty()) told += &name == &names.back() ? " and " : ", ";
        told += name;
      }
      told = "at offset " + std::to_string(begin) + ",|it holds values of " + told + " (";
    });
    told = share(told);
    where_ = told.substr(0, told.find('|'));
    tensors_ = told.substr(told.find('|') + 1);
  }

  LoadReport load_only(std::vector<float>& values, const std::string& name, const Slice& slice,
                       LoadOptions options = {}) {
    values.assign(element_count(slice.extent), -1.0F);
    State state;
    state.add(name, std::span(values), slice);
    options.strict = false;
    return load(MPI_COMM_WORLD, path("x"), state, options);
  }
  void expect_values(const std::vector<float>& values, const Slice& slice, float fraction) {
    for (std::uint64_t i = 0; i < values.size(); ++i) {
      const std::uint64_t row = slice.offset[0] + i / slice.extent[1];
      const std::uint64_t column = slice.offset[1] + i % slice.extent[1];
      if (values[i] == value(row, column, fraction)) continue;
      ADD_FAILURE() << "row " << row << ", column " << column << " is " << values[i];
      return;
    }
  }
  void expect_refused(const std::function<void()>& call) {
    expect_error(call, ErrorCode::damaged,
                 {file_of_last_rank().filename().string(), where_, tensors_});
  }

  std::vector<float> a_;
  std::vector<float> b_;
  double one_ = 1;
  double two_ = 2;
  std::string where_;
  std::string tensors_;
};

TEST_P(PartialLoad, DamageInATensorThatIsNotReadIsNoneOfItsBusiness) {
  damage("b", 70 * kRowBytes / 2);
  std::vector<float> values;
  const Slice mine = rows();
  const LoadReport report = load_only(values, "a", {mine.global, mine.offset, mine.extent});
  EXPECT_EQ(report.verified, Verified::crc);
  expect_values(values, mine, 0.5F);
  expect_refused([&] { load_only(values, "b", mine); });
}

TEST_P(PartialLoad, AFilterKeepsDamageOut) {
  damage("b", 70 * kRowBytes / 2);
  State state;
  state.add("a", std::span(a_), rows()).add("b", std::span(b_), rows());
  state.add("tiny.1", one_).add("tiny.2", two_);
  LoadOptions options;
  options.filter = [](std::string_view name) { return name == "a"; };
  a_.assign(a_.size(), -1.0F);
  load(MPI_COMM_WORLD, path("x"), state, options);  // strict otherwise
  expect_values(a_, rows(), 0.5F);
  expect_refused([&] { load(MPI_COMM_WORLD, path("x"), state); });
}

TEST_P(PartialLoad, DamageInRowsThatAreNotReadIsNoneOfItsBusiness) {
  damage("b", kRowBytes / 2);  // the last row
  std::vector<float> values;
  const Slice first_rows = split({kRows, kColumns}, 0, rank(), ranks() * 4);
  load_only(values, "b", first_rows);
  expect_values(values, first_rows, 0.25F);
  // Every rank but the last asks for rows far from it: all are refused together.
  expect_refused([&] { load_only(values, "b", rows()); });
}

TEST_P(PartialLoad, ColumnsOfEveryRowMeetTheDamageOnAllRanks) {
  damage("b", kRowBytes / 2);
  std::vector<float> values;
  const Slice columns = split({kRows, kColumns}, 1, rank(), ranks());
  expect_refused([&] { load_only(values, "b", columns); });
  load_only(values, "a", columns);
  expect_values(values, columns, 0.5F);
}

TEST_P(PartialLoad, ABlockOfManyTensorsNamesAllOfThem) {
  damage("b", 4);  // its end, with small ones behind it in the block of the whole file
  if (!GetParam()) {
    EXPECT_NE(tensors_.find("'b', 'tiny.1' and 'tiny.2'"), std::string::npos) << tensors_;
    double scalar = 0;
    State state;
    state.add("tiny.2", scalar);
    expect_refused([&] { load(MPI_COMM_WORLD, path("x"), state, {.strict = false}); });
  }
  std::vector<float> values;
  expect_refused([&] { load_only(values, "b", rows()); });
}

/// A state that grew between two checkpoints.
class PartialFallback : public Victim {
 protected:
  PartialFallback() : Victim({Guard::crc, false}, std::uint64_t{1} << 18) {
    leave({kOlder}, settings());
    model_.state().add("more", more_);
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
    static_cast<void>(checkpoint.restore(model_.state(), {.strict = false}));
    model_.train_to(kNewer);
    checkpoint.save(kNewer, model_.state());
  }
  float more_ = 5;
};

TEST_F(PartialFallback, WarnsOfWhatTheOlderOneDoesNotHold) {
  on_root([&] { flip_bit(newer(), fs::file_size(newer()) / 2, 1); });
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), settings());
  const Restored restored = checkpoint.restore(model_.state(), {.strict = false}).value();
  EXPECT_EQ(restored.step, kOlder);
  EXPECT_EQ(restored.missing.size(), 1U);
  EXPECT_EQ(restored.warnings.size(), 1U);
  for (const std::string& warning : restored.warnings) {
    EXPECT_NE(warning.find("1 tensors were not loaded"), std::string::npos) << warning;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PartialLoad, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "shards" : "integrated"; });

}  // namespace
}  // namespace cairn::test
