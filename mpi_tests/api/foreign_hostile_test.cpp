// Foreign files of somebody who has a grudge: each trick has its own refusal, on all ranks alike.
#include <hdf5.h>

#include <array>
#include <cstring>
#include <fstream>
#include <numeric>

#include "api/world.hpp"

namespace cairn::test {
namespace {

constexpr hsize_t kCount = 1000;

/// Adds a dataset of int32 0, 1, 2, …, unless `write` is false.
void add_dataset(hid_t file, const char* name, const std::function<void(hid_t)>& change_list = {},
                 bool write = true, const std::vector<hsize_t>& shape = {kCount},
                 hid_t type = H5T_STD_I32LE) {
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  if (change_list) change_list(list);
  const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  EXPECT_GE(dataset, 0);
  std::vector<std::int32_t> values(kCount);
  std::iota(values.begin(), values.end(), 0);
  if (write) H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(dataset);
  H5Pclose(list);
  H5Sclose(space);
}

void in_chunks(hid_t list) {
  const hsize_t chunk = 100;
  H5Pset_chunk(list, 1, &chunk);
}

void add_group(hid_t file, const char* path) {
  H5Gclose(H5Gcreate2(file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

class HostileForeign : public World {
 protected:
  /// A file of one good dataset and what `build` adds. Local.
  void make(const std::function<void(hid_t)>& build) const {
    const hid_t file = H5Fcreate(path("x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_dataset(file, "good");
    build(file);
    H5Fclose(file);
  }

  /// Replaces every place in the file where these bytes are. Local.
  template <class T>
  void patch(const T& from, const T& to) const {
    std::string bytes = contents();
    const std::string_view old(reinterpret_cast<const char*>(&from), sizeof from);
    std::size_t places = 0;
    for (std::size_t at = bytes.find(old); at != std::string::npos; at = bytes.find(old, at + 1)) {
      std::memcpy(bytes.data() + at, &to, sizeof to);
      ++places;
    }
    EXPECT_GT(places, 0U) << "nothing to patch";
    set_contents(bytes);
  }
  [[nodiscard]] std::string contents() const {
    std::ifstream in(path("x.h5"), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void set_contents(const std::string& bytes) const {
    std::ofstream(path("x.h5"), std::ios::binary | std::ios::trunc) << bytes;
  }

  /// Loads "good" alone.
  LoadReport load_good(std::vector<std::int32_t>& values) const {
    values.resize(kCount);
    State state;
    state.add("good", std::span(values), whole({kCount}));
    return load(MPI_COMM_WORLD, path("x.h5"), state, {.strict = false});
  }
  void expect_refused(const std::vector<std::string>& words) const {
    std::vector<std::int32_t> values;
    expect_error([&] { load_good(values); }, ErrorCode::damaged, words);
    expect_error([&] { load_good(values); }, ErrorCode::damaged, {"x.h5", "(state unchanged)"});
    EXPECT_EQ(values, std::vector<std::int32_t>(kCount, 0));
  }
  void expect_refused_with(const std::function<void(hid_t)>& build,
                           const std::vector<std::string>& words) const {
    on_root([&] { make(build); });
    expect_refused(words);
  }
};

TEST_F(HostileForeign, AGoodOneIsLoaded) {
  on_root([&] { make([](hid_t file) { add_group(file, "group"); }); });
  std::vector<std::int32_t> values;
  EXPECT_TRUE(load_good(values).foreign);
  EXPECT_EQ(values[999], 999);
}

TEST_F(HostileForeign, ASoftLinkIsRefused) {
  expect_refused_with(
      [](hid_t file) { H5Lcreate_soft("/good", file, "link", H5P_DEFAULT, H5P_DEFAULT); },
      {"'link' is a soft link"});
}

TEST_F(HostileForeign, AnExternalLinkIsRefused) {
  expect_refused_with(
      [](hid_t file) {
        H5Lcreate_external("/etc/passwd", "/", file, "link", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'link' is an external link"});
}

TEST_F(HostileForeign, AUserDefinedLinkIsRefused) {
  H5L_class_t link_class{};
  link_class.version = H5L_LINK_CLASS_T_VERS;
  link_class.id = static_cast<H5L_type_t>(100);
  link_class.trav_func = [](const char*, hid_t, const void*, size_t, hid_t, hid_t) -> hid_t {
    return -1;
  };
  H5Lregister(&link_class);
  expect_refused_with(
      [&](hid_t file) {
        H5Lcreate_ud(file, "link", link_class.id, "x", 1, H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'link' is a user-defined link"});
}

TEST_F(HostileForeign, ValuesInAnotherFileAreRefused) {
  expect_refused_with(
      [](hid_t file) {
        add_dataset(
            file, "t", [](hid_t list) { H5Pset_external(list, "/etc/passwd", 0, kCount * 4); },
            false);
      },
      {"'t' has its values in other files"});
}

TEST_F(HostileForeign, AVirtualDatasetIsRefused) {
  expect_refused_with(
      [](hid_t file) {
        add_dataset(
            file, "t",
            [](hid_t list) {
              const hsize_t count = kCount;
              const hid_t space = H5Screate_simple(1, &count, nullptr);
              H5Pset_virtual(list, space, "/tmp/other.h5", "secret", space);
              H5Sclose(space);
            },
            false);
      },
      {"'t' is a virtual dataset"});
}

TEST_F(HostileForeign, ASecondNameOfADatasetIsRefused) {
  expect_refused_with(
      [](hid_t file) { H5Lcreate_hard(file, "good", file, "twin", H5P_DEFAULT, H5P_DEFAULT); },
      {"is a second name of an object"});
}

TEST_F(HostileForeign, ACycleOfGroupsIsRefused) {
  expect_refused_with(
      [](hid_t file) {
        add_group(file, "a");
        H5Lcreate_hard(file, "/", file, "a/up", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'a/up' is a second name of an object"});
}

TEST_F(HostileForeign, GroupsWithinGroupsWithoutEndAreRefused) {
  expect_refused_with(
      [](hid_t file) {
        hid_t inner = H5Gopen2(file, "/", H5P_DEFAULT);
        for (int i = 0; i < 1025; ++i) {
          const hid_t outer = inner;
          inner = H5Gcreate2(outer, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
          H5Gclose(outer);
        }
        H5Gclose(inner);
      },
      {"lies deeper than 1024 groups"});
}

TEST_F(HostileForeign, AShapeThatOverflowsIsRefused) {
  const hsize_t huge = hsize_t{1} << 31;
  expect_refused_with(
      [&](hid_t file) {
        add_dataset(file, "t",
                    [](hid_t list) {
                      const std::array<hsize_t, 3> chunk{1, 1, 10};
                      H5Pset_chunk(list, 3, chunk.data());
                    },
                    false, {huge, huge, huge});
      },
      {"'t' has the impossible shape [2147483648, 2147483648, 2147483648]"});
}

TEST_F(HostileForeign, AChunkTooLargeToHoldIsRefused) {
  expect_refused_with(
      [](hid_t file) {
        add_dataset(file, "t",
                    [](hid_t list) {
                      const hsize_t chunk = hsize_t{1} << 29;
                      H5Pset_chunk(list, 1, &chunk);
                    },
                    false, {hsize_t{1} << 40});
      },
      {"'t' has chunks of 2147483648 bytes, at most 1073741824 are taken"});
}

TEST_F(HostileForeign, LessStoredThanTheShapeNeedsIsRefused) {
  const std::uint64_t strange = 123'457;  // elements
  on_root([&] {
    make([&](hid_t file) {
      add_dataset(file, "t", [](hid_t list) { H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY); },
                  false, {strange});
    });
    patch(strange, strange * 1'000'000'000);
  });
  expect_refused({"'t'"});
}

TEST_F(HostileForeign, AChunkedShapeMayClaimAnythingAndNothingIsAllocatedForIt) {
  const hsize_t huge = hsize_t{1} << 55;
  on_root([&] { make([&](hid_t file) { add_dataset(file, "t", in_chunks, false, {huge}); }); });
  std::vector<std::int32_t> end(10, -1);
  State state;
  state.add("t", std::span(end), Slice{{huge}, {huge - 10}, {10}});
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), state, {.strict = false});
  EXPECT_EQ(end, std::vector<std::int32_t>(10, 0));
  EXPECT_LE(report.staged_peak, std::uint64_t{40});
}

TEST_F(HostileForeign, ADamagedChunkIsFoundByItsChecksumOnAllRanksThoughOneAloneReadIt) {
  on_root([&] {
    make([](hid_t file) {
      add_dataset(file, "t", [](hid_t list) {
        in_chunks(list);
        H5Pset_fletcher32(list);
      });
    });
    patch(std::array<std::int32_t, 2>{950, 951}, std::array<std::int32_t, 2>{950, 952});
  });
  // "good" has these values as well, and no checksum.
  const Slice slice = split({kCount}, 0, rank(), ranks());
  std::vector<std::int32_t> values(slice.extent[0]);
  State state;
  state.add("t", std::span(values), slice);
  const std::string where = ranks() > 1 ? "rank " + std::to_string(ranks() - 1) + ": " : "";
  expect_error(
      [&] { load(MPI_COMM_WORLD, path("x.h5"), state, {.strict = false}); }, ErrorCode::damaged,
      {where + path("x.h5").string() + ": HDF5 cannot read 't'", "Fletcher32", "unspecified"});
}

TEST_F(HostileForeign, ADamagedCompressedChunkIsDamaged) {
  on_root([&] {
    make([](hid_t file) {
      add_dataset(file, "t", [](hid_t list) {
        in_chunks(list);
        H5Pset_deflate(list, 9);
      });
    });
    std::string bytes = contents();
    const std::size_t at = bytes.find("\x78\xDA");  // how a stream of zlib's at level 9 begins
    EXPECT_NE(at, std::string::npos);
    std::memset(bytes.data() + at, 0x55, 20);
    set_contents(bytes);
  });
  std::vector<std::int32_t> values(kCount);
  State state;
  state.add("t", std::span(values), whole({kCount}));
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), state, {.strict = false}); },
               ErrorCode::damaged, {"read 't'", "inflate"});
}

TEST_F(HostileForeign, ABoolThatIsNeitherIsDamaged) {
  on_root([&] {
    make([](hid_t file) {
      const hid_t type = H5Tenum_create(H5T_STD_U8BE);
      const std::uint8_t no = 0;
      const std::uint8_t yes = 1;
      H5Tenum_insert(type, "FALSE", &no);
      H5Tenum_insert(type, "TRUE", &yes);
      const hsize_t count = 3;
      const hid_t space = H5Screate_simple(1, &count, nullptr);
      const std::array<std::uint8_t, 3> values{0, 1, 2};
      for (const char* name : {"bad", "fine"}) {
        const hid_t dataset =
            H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t two = H5Screate_simple(1, &count, nullptr);
        const hsize_t start = 0;
        const hsize_t part = name[0] == 'b' ? 3 : 2;
        H5Sselect_hyperslab(two, H5S_SELECT_SET, &start, nullptr, &part, nullptr);
        H5Dwrite(dataset, type, two, two, H5P_DEFAULT, values.data());
        H5Sclose(two);
        H5Dclose(dataset);
      }
      H5Sclose(space);
      H5Tclose(type);
    });
  });
  std::array<bool, 3> values{};
  State bad;
  bad.add("bad", whole({3}), Source::memory(DType::boolean, values.data()));
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), bad, {.strict = false}); },
               ErrorCode::damaged, {"'bad' is of type bool", "0 and 1"});
  State fine;
  fine.add("fine", whole({3}), Source::memory(DType::boolean, values.data()));
  load(MPI_COMM_WORLD, path("x.h5"), fine, {.strict = false});
  EXPECT_EQ(values, (std::array<bool, 3>{false, true, false}));
}

TEST_F(HostileForeign, TheSignatureAloneDoesNotMakeAFile) {
  on_root([&] { set_contents("\x89HDF\r\n\x1a\n" + std::string(100'000, 'x')); });
  expect_refused({"begins as HDF5 does", "HDF5 cannot open it"});
}

TEST_F(HostileForeign, AFileCutShortIsRefused) {
  on_root([&] {
    make([](hid_t) {});
    const std::string bytes = contents();
    set_contents(bytes.substr(0, bytes.size() - 100));
  });
  expect_refused({"truncated file"});
}

TEST_F(HostileForeign, WhatIsNotHdf5IsNoForeignFile) {
  on_root([&] { set_contents(std::string(100'000, 'x')); });
  expect_refused({"not a Cairn checkpoint"});
}

/// A checkpoint of Cairn's stays one, however damaged: it is an error, and nothing is loaded.
class DamagedCheckpoint : public HostileForeign {
 protected:
  DamagedCheckpoint() {
    std::vector<std::int32_t> values(kCount, 1);
    State state;
    state.add("good", std::span(values), whole({kCount}));
    save(MPI_COMM_WORLD, path("x.h5"), state);
  }
  void change(const std::function<void(std::string&)>& step) const {
    on_root([&] {
      std::string bytes = contents();
      step(bytes);
      set_contents(bytes);
    });
  }
};

TEST_F(DamagedCheckpoint, AnUndamagedOneIsNotForeign) {
  std::vector<std::int32_t> values;
  EXPECT_FALSE(load_good(values).foreign);
  EXPECT_EQ(values[0], 1);
}

TEST_F(DamagedCheckpoint, WithoutItsRecordIsNotForeign) {
  change([](std::string& bytes) { std::memset(bytes.data() + bytes.size() - 4096, 'x', 4096); });
  expect_refused({"not a Cairn checkpoint, or it was cut short"});
}

TEST_F(DamagedCheckpoint, ExtendedIsNotForeign) {
  change([](std::string& bytes) { bytes.append(10'000, 'x'); });
  expect_refused({"not a Cairn checkpoint, or it was cut short or extended"});
}

TEST_F(DamagedCheckpoint, CutShortIsNotForeign) {
  change([](std::string& bytes) { bytes.resize(bytes.size() - 5000); });
  expect_refused({"has no record of a Cairn checkpoint at its end (cut short or extended?)"});
}

TEST_F(DamagedCheckpoint, WithADamagedHeadIsNotForeign) {
  change([](std::string& bytes) { bytes[100] ^= 1; });
  expect_refused({"the head's CRC"});
}

}  // namespace
}  // namespace cairn::test
