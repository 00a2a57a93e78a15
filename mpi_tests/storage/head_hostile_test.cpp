// Heads changed byte by byte: what no HDF5 library would write. Each is refused in words that say
// what was expected where.
#include <cstring>
#include <functional>

#include "codec/lookup3.hpp"
#include "storage/expect_error.hpp"
#include "storage/head_reader.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;
using cairn::testing::sample_record;

// Of the superblock, and of the pieces that the head is made of (docs/format.md, HDF5).
constexpr std::uint64_t kRootAt = 36;
constexpr std::uint64_t kSumAt = 44;
constexpr std::uint64_t kFirstMessage = 16;  // of an object header
constexpr std::uint64_t kMessageBody = 8;
constexpr std::uint64_t kFirstChild = 32;  // of a B-tree node
constexpr std::uint64_t kFirstEntry = 8;   // of a leaf
constexpr std::uint64_t kEntryBytes = 40;

constexpr std::uint16_t kDataspace = 1;
constexpr std::uint16_t kDatatype = 3;
constexpr std::uint16_t kFillValue = 5;
constexpr std::uint16_t kLayout = 8;

class HostileHead : public ::testing::Test {
 protected:
  HostileHead() {
    const std::vector<std::byte> tail = make_tail(layout_, sample_record());
    record_ = decode_record(std::span(tail).last<kRecordBytes>(), "here");
  }

  std::uint64_t at(std::uint64_t offset) const {
    std::uint64_t value = 0;
    std::memcpy(&value, head_.data() + offset, sizeof value);
    return value;
  }
  template <std::integral T>
  void put(std::uint64_t offset, T value) {
    std::memcpy(head_.data() + offset, &value, sizeof value);
  }
  void copy(std::uint64_t from, std::uint64_t to, std::size_t count) {
    std::memmove(head_.data() + to, head_.data() + from, count);
  }
  /// Gives the superblock a good checksum again.
  void seal() { put(kSumAt, codec::lookup3(std::span(head_).first(kSumAt))); }

  std::uint64_t root() const { return at(kRootAt); }
  std::uint64_t tree_of(std::uint64_t group) const {
    return at(group + kFirstMessage + kMessageBody);
  }
  std::uint64_t heap_of(std::uint64_t group) const {
    return at(group + kFirstMessage + kMessageBody + 8);
  }
  std::uint64_t entry_of(std::uint64_t group, std::uint64_t i) const {
    return at(tree_of(group) + kFirstChild) + kFirstEntry + i * kEntryBytes;
  }
  std::uint64_t object_of(std::uint64_t group, std::uint64_t i) const {
    return at(entry_of(group, i) + 8);
  }
  /// The body of an object's message.
  std::uint64_t message(std::uint64_t object, std::uint16_t type) const {
    std::uint64_t place = object + kFirstMessage;
    while ((at(place) & 0xFFFFU) != type) place += kMessageBody + (at(place) >> 16U & 0xFFFFU);
    return place + kMessageBody;
  }
  // The root holds ".cairn", "a", "b", "group".
  std::uint64_t own() const { return object_of(root(), 0); }
  std::uint64_t a() const { return object_of(root(), 1); }
  std::uint64_t group() const { return object_of(root(), 3); }

  void expect_refused(std::initializer_list<const char*> parts) const {
    expect_error(ErrorCode::damaged, parts, [&] { (void)read_head(head_, record_); });
  }

  ImageLayout layout_ = lay_out(std::vector<TensorInfo>{{"a", DType::float32, {3, 5}},
                                                        {"b", DType::complex64, {2}},
                                                        {"group/c", DType::boolean, {}}},
                                1 << 20);
  std::vector<std::byte> head_ = layout_.head;
  Record record_;
};

TEST_F(HostileHead, AnUnchangedOneIsRead) {
  EXPECT_EQ(read_head(head_, record_).size(), 3U);
}

TEST_F(HostileHead, AHeaderContinuedElsewhereIsRead) {
  const std::uint64_t elsewhere = head_.size() - 64;
  const std::uint64_t layout = message(a(), kLayout) - kMessageBody;
  copy(layout, elsewhere, 32);
  put(layout, std::uint16_t{0x10});
  put(layout + kMessageBody, elsewhere);
  put(layout + kMessageBody + 8, std::uint64_t{32});
  put(a() + 2, static_cast<std::uint16_t>((at(a()) >> 16U) + 1));
  const auto tensors = read_head(head_, record_);
  EXPECT_TRUE(std::ranges::any_of(tensors, [&](const PlacedTensor& tensor) {
    return tensor.name == "a" && tensor.offset == layout_.offsets[0];
  }));
}

// append_info. Its group holds "on" and the text "note".

class HostileInfo : public HostileHead {
 protected:
  HostileInfo() {
    const std::vector<TensorInfo> tensors{{"a", DType::uint8, {5}},
                                          {"note", DType::uint8, {5}, Family::append_info, true},
                                          {"on", DType::boolean, {}, Family::append_info}};
    layout_ = lay_out(tensors, 1 << 20);
    head_ = layout_.head;
    const std::vector<std::byte> tail = make_tail(layout_, sample_record());
    record_ = decode_record(std::span(tail).last<kRecordBytes>(), "here");
  }
  // The root holds ".cairn", "a", "append_info".
  std::uint64_t info() const { return object_of(root(), 2); }
  std::uint64_t note() const { return object_of(info(), 0); }
  std::uint64_t on() const { return object_of(info(), 1); }
};

TEST_F(HostileInfo, AnUnchangedOneIsRead) {
  auto tensors = read_head(head_, record_);
  std::ranges::sort(tensors, {}, &PlacedTensor::key);
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[1], (PlacedTensor{{"note", DType::uint8, {5}, Family::append_info, true},
                                      layout_.offsets[1]}));
  EXPECT_EQ(tensors[2],
            (PlacedTensor{{"on", DType::boolean, {}, Family::append_info}, layout_.offsets[2]}));
}

TEST_F(HostileInfo, AnyOtherBitOfATextsTypeIsRefused) {
  for (std::uint64_t bit = 0; bit < 8 * 8; ++bit) {
    head_ = layout_.head;
    head_[message(note(), kDatatype) + bit / 8] ^= std::byte{1} << (bit % 8);
    // Another size is another text, which has other bytes stored, or is too long.
    const bool is_size = bit >= 32;
    expect_refused({"'append_info/note'", is_size ? "bytes" : "a type that no tensor has"});
  }
}

TEST_F(HostileInfo, ATextWithoutBytesIsRefused) {
  put(message(note(), kDatatype) + 4, std::uint32_t{0});
  expect_refused({"'append_info/note' has a type that no tensor has"});
}

TEST_F(HostileInfo, ATextLongerThanTextsAreIsRefused) {
  put(message(note(), kDatatype) + 4, std::uint32_t{65537});
  expect_refused({"'append_info/note' is a text of 65537 bytes, at most 65536"});
}

TEST_F(HostileInfo, ATextThatIsNotAppendedIsRefused) {
  put(entry_of(root(), 1) + 8, note());
  expect_refused({"'a' has a type that no tensor has"});
}

TEST_F(HostileInfo, ADatasetInPlaceOfTheGroupIsRefused) {
  put(entry_of(root(), 2) + 8, on());
  put(entry_of(root(), 2) + 16, std::uint32_t{0});  // not called a group by its link
  expect_refused({"'append_info' is not one that Cairn writes"});
}

TEST_F(HostileInfo, AnEntryOutsideOfTheBodyIsRefused) {
  put(message(on(), kLayout) + 2, std::uint64_t{8});
  expect_refused({"'append_info/on' lies at offset 8"});
}

// The superblock.

struct WrongByte {
  std::uint64_t offset;
  int value;
  const char* why;
};

class Superblock : public HostileHead, public ::testing::WithParamInterface<WrongByte> {};

TEST_P(Superblock, AWrongByteIsRefusedByName) {
  put(GetParam().offset, static_cast<std::uint8_t>(GetParam().value));
  seal();
  expect_refused({"a superblock at offset 0", GetParam().why});
}

INSTANTIATE_TEST_SUITE_P(EachOfThem, Superblock,
                         ::testing::Values(WrongByte{0, 0, "HDF5's signature"},
                                           WrongByte{8, 0, "the version 0, expected 2"},
                                           WrongByte{8, 3, "the version 3, expected 2"},
                                           WrongByte{9, 4, "the size of offsets 4, expected 8"},
                                           WrongByte{10, 4, "the size of lengths 4, expected 8"},
                                           WrongByte{11, 1, "the flags 1, expected 0"},
                                           WrongByte{12, 8, "the base address 8, expected 0"},
                                           WrongByte{35, 1, "of a file of"}));

TEST_F(HostileHead, AWrongSuperblockChecksumIsRefused) {
  put(kSumAt, std::uint32_t{0});
  expect_refused({"a superblock", "checksum 0, expected"});
}

TEST_F(HostileHead, ARootOutsideOfTheHeadIsRefused) {
  for (const std::uint64_t to : {head_.size(), head_.size() - 8, ~std::uint64_t{0} - 7}) {
    put(kRootAt, to);
    seal();
    expect_refused({"'/' has an object header at offset", "leaves its"});
  }
  put(kRootAt, root() + 1);
  seal();
  expect_refused({"no multiple of 8"});
}

TEST_F(HostileHead, AHeadOfNoBytesIsRefused) {
  head_.clear();
  expect_refused({"a superblock at offset 0", "leaves its 0 bytes"});
}

// Object headers.

TEST_F(HostileHead, ARootThatIsADatasetIsRefused) {
  put(kRootAt, a());
  seal();
  expect_refused({"'/' has no symbol table"});
}

TEST_F(HostileHead, AnObjectHeaderOfAnotherVersionIsRefused) {
  std::memcpy(head_.data() + a(), "OHDR", 4);
  expect_refused({"'a' has an object header", "version", "expected 1"});
}

TEST_F(HostileHead, AnotherNumberOfMessagesIsRefused) {
  put(a() + 2, std::uint16_t{77});
  expect_refused({"'a'", "number of messages", "expected 77"});
}

TEST_F(HostileHead, ASecondNameInTheCountIsRefused) {
  put(a() + 4, std::uint32_t{2});
  expect_refused({"'a' has 2 names, expected 1"});
}

TEST_F(HostileHead, AHeaderThatLeavesTheHeadIsRefused) {
  put(a() + 8, ~std::uint32_t{0});
  expect_refused({"'a' has an object header", "leaves its"});
}

TEST_F(HostileHead, AMessageThatLeavesItsHeaderIsRefused) {
  put(message(a(), kDataspace) - 6, std::uint16_t{0xFFF8});
  expect_refused({"'a' has an object header", "that ends after"});
}

TEST_F(HostileHead, AMessageOfAnOddLengthIsRefused) {
  put(message(a(), kDataspace) - 6, std::uint16_t{39});
  expect_refused({"'a'", "a message of 39 bytes"});
}

TEST_F(HostileHead, AnUnknownMessageIsRefused) {
  put(message(a(), kFillValue) - 8, std::uint16_t{0x77});
  expect_refused({"'a' has a message of the unknown type 119"});
}

TEST_F(HostileHead, MessagesThatNoImageHasAreRefusedByName) {
  const std::uint64_t type_at = message(a(), kFillValue) - 8;
  for (const auto& [type, name] :
       std::initializer_list<std::pair<std::uint16_t, const char*>>{{0x02, "'link info'"},
                                                                    {0x06, "'link'"},
                                                                    {0x07, "'external files'"},
                                                                    {0x0B, "'filters'"},
                                                                    {0x0C, "'attribute'"},
                                                                    {0x0D, "'comment'"},
                                                                    {0x0F, "'shared messages'"},
                                                                    {0x16, "'reference count'"}}) {
    put(type_at, type);
    expect_refused({"'a' has a message", name, "nothing in an image"});
  }
}

TEST_F(HostileHead, AMessageTwiceIsRefused) {
  put(message(a(), kFillValue) - 8, kDatatype);
  expect_refused({"'a'", "of type 3 for the second time"});
}

TEST_F(HostileHead, ASharedMessageIsRefused) {
  put(message(a(), kDatatype) - 4, std::uint8_t{2});
  expect_refused({"'a'", "a shared message of type 3"});
}

TEST_F(HostileHead, AMessageThatMustBeUnderstoodIsRefused) {
  put(message(a(), kFillValue) - 4, std::uint8_t{0x80});
  expect_refused({"'a'", "the flags 128", "type 5"});
}

TEST_F(HostileHead, AContinuationOfItselfIsRefused) {
  const std::uint64_t body = message(a(), kLayout);
  put(body - 8, std::uint16_t{0x10});
  put(body, a());
  put(body + 8, std::uint64_t{64});
  expect_refused({"'a' has an object header", "met before"});
}

TEST_F(HostileHead, AGroupThatIsADatasetTooIsRefused) {
  const std::uint64_t body = message(a(), kDatatype);
  put(body - 8, std::uint16_t{0x11});
  expect_refused({"'a' is both a group and a dataset"});
}

TEST_F(HostileHead, AMissingMessageIsRefusedByName) {
  for (const auto& [type, why] : std::initializer_list<std::pair<std::uint16_t, const char*>>{
           {kDataspace, "has no shape"},
           {kDatatype, "has no type"},
           {kLayout, "neither a group nor a dataset"}}) {
    head_ = layout_.head;
    put(message(a(), type) - 8, std::uint16_t{0});
    expect_refused({"'a'", why});
  }
}

// Dataspace, datatype, layout.

TEST_F(HostileHead, ADataspaceOfAnotherVersionIsRefused) {
  put(message(a(), kDataspace), std::uint8_t{2});
  expect_refused({"'a'", "version 2, or no shape"});
  put(message(a(), kDataspace), std::uint8_t{9});
  expect_refused({"'a'", "dataspace's version 9, expected 1"});
}

TEST_F(HostileHead, TooManyDimensionsAreRefused) {
  put(message(a(), kDataspace) + 1, std::uint8_t{33});
  expect_refused({"'a' has 33 dimensions"});
}

TEST_F(HostileHead, DimensionsBehindTheMessageAreRefused) {
  put(message(a(), kDataspace) + 1, std::uint8_t{32});
  expect_refused({"'a' has a message", "that ends after 40 bytes"});
}

TEST_F(HostileHead, AShapeThatMayGrowIsRefused) {
  put(message(a(), kDataspace) + 24, ~std::uint64_t{0});
  expect_refused({"'a' has a shape that may grow"});
}

TEST_F(HostileHead, APermutedDataspaceIsRefused) {
  put(message(a(), kDataspace) + 2, std::uint8_t{3});
  expect_refused({"'a'", "the dataspace's flags 3"});
}

TEST_F(HostileHead, AnAbsurdShapeIsRefused) {
  const std::uint64_t extent = std::uint64_t{1} << 60U;
  for (const std::uint64_t place : {8, 16, 24, 32}) put(message(a(), kDataspace) + place, extent);
  expect_refused({"'a' has the impossible shape [1152921504606846976, 1152921504606846976]"});
}

TEST_F(HostileHead, AnotherShapeThanTheBytesStoredIsRefused) {
  for (const std::uint64_t place : {8, 24}) {
    put(message(a(), kDataspace) + place, std::uint64_t{4});
  }
  expect_refused({"'a' has 60 bytes stored, expected 80"});
}

TEST_F(HostileHead, AnyOtherBitOfATypeIsRefused) {
  for (std::uint64_t bit = 0; bit < 8 * 24; ++bit) {
    head_ = layout_.head;
    head_[message(a(), kDatatype) + bit / 8] ^= std::byte{1} << (bit % 8);
    expect_refused({"'a' has a type that no tensor has"});
  }
}

TEST_F(HostileHead, ALayoutOfAnotherVersionOrKindIsRefused) {
  put(message(a(), kLayout), std::uint8_t{4});
  expect_refused({"'a'", "layout's version 4, expected 3"});
  put(message(a(), kLayout), std::uint8_t{3});
  for (const int kind : {0, 2, 3, 77}) {
    put(message(a(), kLayout) + 1, static_cast<std::uint8_t>(kind));
    expect_refused({"'a' is not contiguous"});
  }
}

TEST_F(HostileHead, ValuesOutsideOfTheBodyAreRefused) {
  for (const std::uint64_t to :
       {std::uint64_t{0}, record_.head_bytes - 1, record_.tail_offset - 59, ~std::uint64_t{0}}) {
    put(message(a(), kLayout) + 2, to);
    expect_refused({"'a' lies at offset", "outside of the body"});
  }
}

// Groups.

TEST_F(HostileHead, ATreeThatIsNoneIsRefused) {
  put(tree_of(root()), std::uint8_t{'t'});
  expect_refused({"'/' has a B-tree node", "does not begin with TREE"});
}

TEST_F(HostileHead, ATreeOfChunksIsRefused) {
  put(tree_of(root()) + 4, std::uint8_t{1});
  expect_refused({"a B-tree node", "the type 1, expected 0"});
}

TEST_F(HostileHead, ATreeWithinItselfIsRefused) {
  put(tree_of(root()) + 5, std::uint8_t{200});
  put(tree_of(root()) + kFirstChild, tree_of(root()));
  expect_refused({"'/' has a B-tree node", "met before"});
}

TEST_F(HostileHead, ATreeNodeOnTheWrongLevelIsRefused) {
  put(tree_of(root()) + 5, std::uint8_t{200});
  put(tree_of(root()) + kFirstChild, tree_of(group()));
  expect_refused({"'/' has a B-tree node", "the level 0, expected 199"});
}

TEST_F(HostileHead, ATreeOfAnotherGroupIsRefused) {
  put(group() + kFirstMessage + kMessageBody, tree_of(root()));
  put(entry_of(root(), 3) + 24, tree_of(root()));
  expect_refused({"'group/' has a B-tree node", "met before"});
}

TEST_F(HostileHead, ATreeNodeWithMoreChildrenThanBytesIsRefused) {
  put(tree_of(root()) + 6, std::uint16_t{0xFFFF});
  expect_refused({"'/' has a B-tree node", "leaves its"});
}

TEST_F(HostileHead, ALeafThatIsNoneIsRefused) {
  put(entry_of(root(), 0) - kFirstEntry, std::uint8_t{0});
  expect_refused({"'/' has a symbol table node", "does not begin with SNOD"});
}

TEST_F(HostileHead, ALeafTwiceIsRefused) {
  put(tree_of(root()) + 6, std::uint16_t{2});
  put(tree_of(root()) + kFirstChild + 16, at(tree_of(root()) + kFirstChild));
  expect_refused({"'/' has a symbol table node", "met before"});
}

TEST_F(HostileHead, ALeafWithMoreEntriesThanBytesIsRefused) {
  put(entry_of(root(), 0) - 2, std::uint16_t{0xFFFF});
  expect_refused({"'/' has a symbol table node", "leaves its"});
}

TEST_F(HostileHead, AHeapThatIsNoneIsRefused) {
  put(heap_of(root()), std::uint8_t{0});
  expect_refused({"'/' has a heap of names", "does not begin with HEAP"});
}

TEST_F(HostileHead, NamesOutsideOfTheHeadAreRefused) {
  put(heap_of(root()) + 24, std::uint64_t{head_.size()} - 8);
  expect_refused({"'/' has a heap of names", "which leaves the head's"});
}

TEST_F(HostileHead, ANameOutsideOfItsHeapIsRefused) {
  put(entry_of(root(), 1), std::uint64_t{1} << 63U);
  expect_refused({"'/' has a link name at place 9223372036854775808 of its heap"});
}

TEST_F(HostileHead, ANameWithoutAnEndIsRefused) {
  put(heap_of(root()) + 8, at(entry_of(root(), 0)) + 1);
  expect_refused({"'/' has a link name", "without an end"});
}

TEST_F(HostileHead, TwoLinksWithOneNameAreRefused) {
  put(entry_of(root(), 2), at(entry_of(root(), 1)));
  expect_refused({"'/' has a link name", "met before"});
}

TEST_F(HostileHead, NamesOutOfOrderAreRefused) {
  const std::uint64_t place = at(entry_of(root(), 1));
  put(entry_of(root(), 1), at(entry_of(root(), 2)));
  put(entry_of(root(), 2), place);
  expect_refused({"'a' comes after 'b', out of order"});
}

TEST_F(HostileHead, ALinkWithASlashIsRefused) {
  put(at(heap_of(root()) + 24) + at(entry_of(root(), 1)), std::uint8_t{'/'});
  expect_refused({"'/' is not a link name"});
}

TEST_F(HostileHead, TwoNamesOfOneObjectAreRefused) {
  put(entry_of(root(), 2) + 8, a());
  expect_refused({"'b' has an object header", "a second name of an object"});
}

TEST_F(HostileHead, AGroupWithinItselfIsRefused) {
  put(entry_of(group(), 0) + 8, group());
  expect_refused({"'group/c' has an object header", "a second name of an object"});
}

TEST_F(HostileHead, ASoftLinkIsRefused) {
  put(entry_of(root(), 1) + 16, std::uint32_t{2});
  expect_refused({"'a' is a soft link"});
}

TEST_F(HostileHead, ALinkOfAnUnknownKindIsRefused) {
  put(entry_of(root(), 1) + 16, std::uint32_t{3});
  expect_refused({"'/' has a symbol table entry", "unknown kind 3"});
}

TEST_F(HostileHead, ALinkThatSaysOtherThingsThanItsGroupIsRefused) {
  put(entry_of(root(), 3) + 24, tree_of(root()));
  expect_refused({"'group' is a group whose link and header say different things"});
}

TEST_F(HostileHead, ADatasetWhoseLinkCallsItAGroupIsRefused) {
  put(entry_of(root(), 1) + 16, std::uint32_t{1});
  expect_refused({"'a' is a dataset that its link calls a group"});
}

TEST_F(HostileHead, TheOwnDatasetsElsewhereAreRefused) {
  for (const auto& [i, path] : std::initializer_list<std::pair<std::uint64_t, const char*>>{
           {0, "'.cairn/blocks' lies at"}, {2, "'.cairn/record' lies at"}}) {
    head_ = layout_.head;
    put(message(object_of(own(), i), kLayout) + 2, std::uint64_t{0});
    expect_refused({path, "expected offset"});
  }
}

TEST_F(HostileHead, AnOwnGroupThatIsADatasetIsRefused) {
  put(entry_of(root(), 0) + 8, a());
  expect_refused({"'.cairn' is not a group"});
}

/// One group with a long name and many datasets: each path has the long name in it.
TEST_F(HostileHead, PathsThatRepeatALongNameWithoutEndAreRefused) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < 400; ++i) {
    tensors.push_back({"g/" + std::to_string(1000 + i), DType::int8, {1}});
  }
  layout_ = lay_out(tensors, 1 << 20);
  // The group's name moves behind the rest, where it is long.
  constexpr std::size_t kLong = 60'000;
  head_ = layout_.head;
  const std::uint64_t name = head_.size();
  head_.resize(head_.size() + kLong + 8, std::byte{'g'});
  head_.back() = std::byte{0};
  const std::uint64_t names = at(heap_of(root()) + 24);
  put(heap_of(root()) + 8, head_.size() - names);
  put(entry_of(root(), 1), name - names);
  const std::vector<std::byte> tail = make_tail(layout_, sample_record());
  record_ = decode_record(std::span(tail).last<kRecordBytes>(), "here");
  expect_refused({"longer together than 64 times the head"});
}

}  // namespace
}  // namespace cairn::storage
