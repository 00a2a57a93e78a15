// Images whose checksums are all in order and whose structure is not what Cairn writes.
#include <hdf5.h>

#include "storage/crafted_image.hpp"
#include "storage/expect_error.hpp"
#include "storage/scratch_directory.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::image_in;
using cairn::testing::CraftedImage;
using cairn::testing::expect_error;
using cairn::testing::ScratchDirectory;

constexpr std::uint64_t kBytes = 1000;

/// A dataset of `kBytes` int8 with the properties that Cairn gives one. Returns its offset.
haddr_t add_dataset(hid_t file, const char* path, hid_t type = H5T_STD_I8LE,
                    const std::function<void(hid_t)>& change_list = {}) {
  const hsize_t count = kBytes;
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
  if (change_list) change_list(list);
  const hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  EXPECT_GE(dataset, 0);
  const haddr_t offset = H5Pget_layout(list) == H5D_CONTIGUOUS ? H5Dget_offset(dataset) : 0;
  H5Dclose(dataset);
  H5Pclose(list);
  H5Sclose(space);
  return offset;
}

void add_group(hid_t file, const std::string& path) {
  H5Gclose(H5Gcreate2(file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

class HostileImage : public ::testing::Test {
 protected:
  [[nodiscard]] CraftedImage craft(const std::function<void(hid_t)>& build) const {
    return {directory_ / "image.h5", build};
  }
  /// An image of one good tensor and what `build` adds.
  void expect_refused(const std::function<void(hid_t)>& build,
                      std::initializer_list<const char*> parts) const {
    CraftedImage image = craft([&](hid_t file) {
      add_dataset(file, "good");
      build(file);
    });
    refuse(image, 1, parts);
  }
  static void refuse(CraftedImage& image, std::uint64_t count,
                     std::initializer_list<const char*> parts) {
    const PosixFile file = image.complete(count, count * kBytes);
    expect_error(ErrorCode::damaged, parts, [&] { (void)read_index(image_in(file)); });
    expect_error(ErrorCode::damaged, {"image.h5: "}, [&] { (void)read_index(image_in(file)); });
  }

  ScratchDirectory directory_;
};

TEST_F(HostileImage, AGoodOneIsReadThoughCairnDidNotMakeIt) {
  CraftedImage image = craft([](hid_t file) {
    add_dataset(file, "good");
    add_group(file, "group");
    add_dataset(file, "group/also good");
    add_group(file, "append_info");
    add_dataset(file, "append_info/good");
    add_group(file, ".cairn");
    add_dataset(file, ".cairn/no tensor");
  });
  const ImageIndex index = read_index(image_in(image.complete(2, 2 * kBytes)));
  ASSERT_EQ(index.tensors.size(), 3U);
  EXPECT_EQ(index.tensors[0].key(), (TensorKey{Family::parameter, "good"}));
  EXPECT_EQ(index.tensors[1].key(), (TensorKey{Family::parameter, "group/also good"}));
  EXPECT_EQ(index.tensors[2].key(), (TensorKey{Family::append_info, "good"}));
}

hid_t utf8_text(std::size_t bytes) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, bytes);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

TEST_F(HostileImage, AppendedTextsInAListAreRefused) {
  const hid_t type = utf8_text(3);
  expect_refused(
      [&](hid_t file) {
        add_group(file, "append_info");
        add_dataset(file, "append_info/texts", type);
      },
      {"'append_info/texts' is a text of the shape [1000], expected a scalar"});
  H5Tclose(type);
}

TEST_F(HostileImage, AppendedTextsOfAnyLengthAreRefused) {
  const hid_t type = utf8_text(H5T_VARIABLE);
  expect_refused(
      [&](hid_t file) {
        add_group(file, "append_info");
        add_dataset(file, "append_info/texts", type,
                    [](hid_t list) { H5Pset_fill_time(list, H5D_FILL_TIME_ALLOC); });
      },
      {"'append_info/texts' has a type that no tensor has"});
  H5Tclose(type);
}

TEST_F(HostileImage, ASoftLinkInAppendInfoIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_group(file, "append_info");
        H5Lcreate_soft("/good", file, "append_info/other", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"append_info/other' is a soft link"});
}

TEST_F(HostileImage, ASecondNameInAppendInfoIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_group(file, "append_info");
        H5Lcreate_hard(file, "good", file, "append_info/other", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'good' has 2 names"});
}

TEST_F(HostileImage, AppendedOneThatOverlapsATensorIsRefused) {
  haddr_t a = 0;
  haddr_t b = 0;
  CraftedImage image = craft([&](hid_t file) {
    a = add_dataset(file, "a");
    add_group(file, "append_info");
    b = add_dataset(file, "append_info/b");
  });
  image.patch(b, a + kBytes - 1);
  refuse(image, 1, {R"(tensor "a" and append_info "b" overlap at offset)"});
}

TEST_F(HostileImage, OneKeyOfAppendInfoInTwoSpellingsIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_group(file, "append_info");
        add_dataset(file, "append_info/a");
        add_dataset(file, "append_info/a%");
      },
      {R"(append_info "a" is there twice)"});
}

TEST_F(HostileImage, ASoftLinkIsRefused) {
  expect_refused(
      [](hid_t file) { H5Lcreate_soft("/good", file, "link", H5P_DEFAULT, H5P_DEFAULT); },
      {"'link'", "a soft link"});
}

TEST_F(HostileImage, ASoftLinkInTheOwnGroupsPlaceIsRefused) {
  expect_refused(
      [](hid_t file) { H5Lcreate_soft("/good", file, ".cairn", H5P_DEFAULT, H5P_DEFAULT); },
      {"'.cairn'", "a soft link"});
}

// HDF5 makes the whole group one of the new kind for it.
TEST_F(HostileImage, AnExternalLinkIsRefused) {
  expect_refused(
      [](hid_t file) {
        H5Lcreate_external("/etc/passwd", "/", file, "link", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'/'", "'link info'"});
}

TEST_F(HostileImage, AUserDefinedLinkIsRefused) {
  const auto traverse = [](const char*, hid_t, const void*, size_t, hid_t, hid_t) -> hid_t {
    return -1;
  };
  H5L_class_t link_class{};
  link_class.version = H5L_LINK_CLASS_T_VERS;
  link_class.id = static_cast<H5L_type_t>(100);
  link_class.trav_func = traverse;
  H5Lregister(&link_class);
  expect_refused(
      [&](hid_t file) {
        H5Lcreate_ud(file, "link", link_class.id, "x", 1, H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'/'", "'link info'"});
}

TEST_F(HostileImage, ASecondNameOfATensorIsRefused) {
  expect_refused(
      [](hid_t file) { H5Lcreate_hard(file, "good", file, "twin", H5P_DEFAULT, H5P_DEFAULT); },
      {"'good' has 2 names, expected 1"});
}

TEST_F(HostileImage, ACycleOfGroupsIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_group(file, "a");
        H5Lcreate_hard(file, "/", file, "a/up", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"'/' has 2 names, expected 1"});
}

TEST_F(HostileImage, GroupsWithinGroupsWithoutEndAreRefused) {
  expect_refused(
      [](hid_t file) {
        hid_t inner = H5Gopen2(file, "/", H5P_DEFAULT);
        for (int i = 0; i < 1025; ++i) {
          const hid_t outer = inner;
          inner = H5Gcreate2(outer, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
          H5Gclose(outer);
        }
        H5Gclose(inner);
      },
      {"deeper than 1024 groups"});
}

TEST_F(HostileImage, ANamedTypeIsRefused) {
  expect_refused(
      [](hid_t file) {
        const hid_t type = H5Tcopy(H5T_STD_I8LE);
        H5Tcommit2(file, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Tclose(type);
      },
      {"'type'", "neither a group nor a dataset"});
}

TEST_F(HostileImage, AChunkedDatasetIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_dataset(file, "t", H5T_STD_I8LE, [](hid_t list) {
          const hsize_t chunk = 100;
          H5Pset_chunk(list, 1, &chunk);
        });
      },
      {"'t'", "not contiguous"});
}

TEST_F(HostileImage, ADatasetWithFiltersIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_dataset(file, "t", H5T_STD_I8LE, [](hid_t list) {
          const hsize_t chunk = 100;
          H5Pset_chunk(list, 1, &chunk);
          H5Pset_deflate(list, 1);
        });
      },
      {"'t'", "'filters'"});
}

TEST_F(HostileImage, AnAttributeIsRefused) {
  for (const char* path : {"/", "good"}) {
    expect_refused(
        [path](hid_t file) {
          const hid_t object = H5Oopen(file, path, H5P_DEFAULT);
          const hid_t space = H5Screate(H5S_SCALAR);
          H5Aclose(H5Acreate2(object, "a", H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT));
          H5Sclose(space);
          H5Oclose(object);
        },
        {path, "'attribute'"});
  }
}

TEST_F(HostileImage, ADatasetOfANamedTypeIsRefused) {
  expect_refused(
      [](hid_t file) {
        const hid_t type = H5Tcopy(H5T_STD_I8LE);
        H5Tcommit2(file, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        add_dataset(file, "t", type);
        H5Tclose(type);
      },
      {"'t'", "a shared message of type 3"});
}

TEST_F(HostileImage, AGroupOfTheNewKindIsRefused) {
  expect_refused(
      [](hid_t file) {
        const hid_t list = H5Pcreate(H5P_GROUP_CREATE);
        H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED);
        H5Gclose(H5Gcreate2(file, "g", H5P_DEFAULT, list, H5P_DEFAULT));
        H5Pclose(list);
      },
      {"'g'"});
}

TEST_F(HostileImage, ACompactDatasetIsRefused) {
  expect_refused(
      [](hid_t file) {
        add_dataset(file, "t", H5T_STD_I8LE, [](hid_t list) { H5Pset_layout(list, H5D_COMPACT); });
      },
      {"'t'", "not contiguous"});
}

TEST_F(HostileImage, ValuesInAnotherFileAreRefused) {
  expect_refused(
      [](hid_t file) {
        add_dataset(file, "t", H5T_STD_I8LE, [](hid_t list) {
          H5Pset_alloc_time(list, H5D_ALLOC_TIME_LATE);
          H5Pset_external(list, "/etc/passwd", 0, kBytes);
        });
      },
      {"'t'", "'external files'"});
}

TEST_F(HostileImage, ATypeThatNoTensorHasIsRefused) {
  const hid_t text = H5Tcopy(H5T_C_S1);
  const hid_t other_float = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_ebias(other_float, 126);
  for (const hid_t type : {H5T_STD_I32BE, H5T_IEEE_F64BE, text, other_float, H5T_STD_B8LE}) {
    expect_refused([&](hid_t file) { add_dataset(file, "t", type); },
                   {"'t'", "a type that no tensor has"});
  }
  H5Tclose(text);
  H5Tclose(other_float);
}

TEST_F(HostileImage, ADatasetWithoutAShapeIsRefused) {
  expect_refused(
      [](hid_t file) {
        const hid_t space = H5Screate(H5S_NULL);
        H5Dclose(H5Dcreate2(file, "t", H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        H5Sclose(space);
      },
      {"'t'", "no shape"});
}

TEST_F(HostileImage, ANameThatCairnDoesNotWriteIsRefused) {
  expect_refused([](hid_t file) { add_dataset(file, "a%2fb"); }, {"dataset path 'a%2fb'"});
}

TEST_F(HostileImage, OneNameInTwoSpellingsIsRefused) {
  CraftedImage image = craft([](hid_t file) {
    add_dataset(file, "a");
    add_dataset(file, "a%");
  });
  refuse(image, 2, {"tensor \"a\" is there twice"});
}

TEST_F(HostileImage, OverlappingTensorsAreRefused) {
  haddr_t a = 0;
  haddr_t b = 0;
  CraftedImage image = craft([&](hid_t file) {
    a = add_dataset(file, "a");
    b = add_dataset(file, "b");
  });
  image.patch(b, a + kBytes - 1);
  refuse(image, 2, {"tensor \"a\" and tensor \"b\" overlap at offset"});
}

TEST_F(HostileImage, ATensorInTheHeadOrTheTailOrBeyondIsRefused) {
  for (const std::uint64_t to :
       {std::uint64_t{0}, CraftedImage::kHead - 1, CraftedImage::kHead + 65'536 - kBytes + 1,
        std::uint64_t{1} << 62U}) {
    haddr_t offset = 0;
    CraftedImage image = craft([&](hid_t file) { offset = add_dataset(file, "t"); });
    image.patch(offset, to);
    refuse(image, 1, {"'t'", "outside of the body"});
  }
}

TEST_F(HostileImage, ATensorWithLessStoredThanItsShapeSaysIsRefused) {
  haddr_t offset = 0;
  CraftedImage image = craft([&](hid_t file) { offset = add_dataset(file, "t"); });
  // The layout message holds the length behind the address.
  image.patch_behind(offset, kBytes - 1);
  refuse(image, 1, {"'t'"});
}

TEST_F(HostileImage, AHeadThatIsNoHdf5IsRefused) {
  CraftedImage image = craft([](hid_t file) { add_dataset(file, "t"); });
  image.overwrite(0, 512);
  refuse(image, 1, {"a superblock at offset 0", "does not begin with HDF5's signature"});
}

}  // namespace
}  // namespace cairn::storage
