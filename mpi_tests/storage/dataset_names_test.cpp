#include "storage/dataset_names.hpp"

#include <algorithm>
#include <set>

#include "storage/expect_error.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;
using namespace std::string_literals;

/// The paths of tensors with these names, which are sorted here.
std::vector<std::string> paths_of(std::vector<std::string> names) {
  std::ranges::sort(names);
  std::vector<TensorInfo> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::float32, {}});
  return dataset_paths(tensors);
}

std::string path_of(const std::string& name) {
  return paths_of({name}).front();
}

TEST(DatasetNames, EverydayNamesStayAsTheyAre) {
  for (const char* name :
       {"w", "model.layers.0/self_attn.weight", "größe", "权重/偏置", "a b\n\\\"", "x.y", "...",
        ".hidden", "append_info2", "a/.cairn", "a/append_info"}) {
    EXPECT_EQ(path_of(name), name);
  }
}

TEST(DatasetNames, WhatHdf5WouldMisreadIsEscaped) {
  EXPECT_EQ(path_of(""), "%");
  EXPECT_EQ(path_of("/"), "%/%");
  EXPECT_EQ(path_of("/a//b/"), "%/a/%/b/%");
  EXPECT_EQ(path_of("./../a"), "%2E/%2E%2E/a");
  EXPECT_EQ(path_of("100%"), "100%25");
  EXPECT_EQ(path_of("a\0b"s), "a%00b");
  EXPECT_EQ(path_of(".cairn"), "%2Ecairn");
  EXPECT_EQ(path_of(".cairn/record"), "%2Ecairn/record");
  EXPECT_EQ(path_of("append_info/x"), "%61ppend_info/x");
}

TEST(DatasetNames, AppendInfoHasAGroupOfItsOwnWithTheSameEscapes) {
  std::vector<TensorInfo> tensors;
  for (const char* name : {"append_info/lr", "lr"}) tensors.push_back({name, DType::int8, {}});
  for (const char* name : {".cairn", "100%", "append_info/x", "lr", "lr/warmup"}) {
    tensors.push_back({name, DType::int8, {}, Family::append_info});
  }
  EXPECT_EQ(dataset_paths(tensors),
            (std::vector<std::string>{"%61ppend_info/lr", "lr", "append_info/%2Ecairn",
                                      "append_info/100%25", "append_info/%61ppend_info/x",
                                      "append_info/lr%", "append_info/lr/warmup"}));
  // Only a name of the same family makes one a group.
  tensors = {{"lr", DType::int8, {}}, {"lr/warmup", DType::int8, {}, Family::append_info}};
  EXPECT_EQ(dataset_paths(tensors), (std::vector<std::string>{"lr", "append_info/lr/warmup"}));
}

TEST(DatasetNames, ANameThatIsAlsoAGroupIsMarked) {
  EXPECT_EQ(paths_of({"a", "a!b", "a/b"}), (std::vector<std::string>{"a%", "a!b", "a/b"}));
  EXPECT_EQ(paths_of({"a", "ab/c"}), (std::vector<std::string>{"a", "ab/c"}));
  EXPECT_EQ(paths_of({"", "/", "//"}), (std::vector<std::string>{"%%", "%/%%", "%/%/%"}));
  EXPECT_EQ(paths_of({".cairn", ".cairn/a"}),
            (std::vector<std::string>{"%2Ecairn%", "%2Ecairn/a"}));
}

/// All names of up to `length` characters of a small, nasty alphabet.
std::vector<std::string> all_names(std::size_t length) {
  std::vector<std::string> names{""};
  for (std::size_t begin = 0, n = 0; n < length; ++n) {
    const std::size_t end = names.size();
    for (; begin < end; ++begin) {
      for (const char c : "/.%2E\0a"s) names.push_back(names[begin] + c);
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

TEST(DatasetNames, AllShortNamesTogetherStayApartAndComeBack) {
  const std::vector<std::string> names = all_names(5);
  const std::vector<std::string> paths = paths_of(names);
  const std::set<std::string> all(paths.begin(), paths.end());
  ASSERT_EQ(all.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_EQ(name_of_path(paths[i]), names[i]);
    ASSERT_EQ(name_of_path(path_of(names[i])), names[i]);
    for (auto slash = paths[i].find('/'); slash != std::string::npos;
         slash = paths[i].find('/', slash + 1)) {
      ASSERT_FALSE(all.contains(paths[i].substr(0, slash))) << paths[i];
      ASSERT_NE(slash, 0U) << paths[i];
    }
  }
}

TEST(DatasetNames, LongNamesAndEveryByteComeBack) {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  EXPECT_EQ(name_of_path(path_of(every)), every);
  const std::string longest(1000, '%');
  EXPECT_EQ(name_of_path(path_of(longest)), longest);
}

TEST(DatasetNames, PathsThatAreNeverWrittenAreRefused) {
  for (const char* path : {"",
                           "/a",
                           "a/",
                           "a//b",
                           "a%2fb",
                           "a%41",
                           "%2e",
                           "a%",
                           "%%%",
                           "a%%",
                           "%2",
                           "%G0",
                           "a%/b",
                           "%%/b",
                           ".",
                           "..",
                           "a/.",
                           ".cairn/record",
                           "append_info",
                           "a/%2Ecairn",
                           "%63airn",
                           "b%0"}) {
    if (std::string_view(path) == "a%") {  // the mark is taken wherever a name may be a group
      EXPECT_EQ(name_of_path(path), "a");
      continue;
    }
    expect_error(ErrorCode::damaged, {"dataset path", path}, [&] { (void)name_of_path(path); });
  }
}

}  // namespace
}  // namespace cairn::storage
