// What a record says of a chain of increments, and what none may say.
#include <gtest/gtest.h>

#include "storage/expect_error.hpp"
#include "storage/record.hpp"

namespace cairn::storage {
namespace {

using cairn::testing::expect_error;

Record increment() {
  Record record;
  record.step = 7;
  record.sequence = 12;
  record.series = "run";
  record.required_features = "map_parameter increment";
  record.chain = {.base = 9, .position = 3, .map_bytes = 100, .parent = "run-1_6.h5"};
  record.chain.parent_digest.fill(std::byte{0x42});
  return record;
}

void expect_refused(const Record& record) {
  const RecordBytes bytes = encode_record(record);
  expect_error(ErrorCode::damaged, {"x.h5", "by its record it is increment"},
               [&] { static_cast<void>(decode_record(bytes, "x.h5")); });
}

TEST(RecordChain, WrittenThenReadBack) {
  const Record record = increment();
  EXPECT_EQ(decode_record(encode_record(record), "x.h5"), record);
}

TEST(RecordChain, PlacesAreThoseOfTheFormat) {
  const RecordBytes bytes = encode_record(increment());
  EXPECT_EQ(bytes[10], std::byte{3});    // the minor version
  EXPECT_EQ(bytes[989], std::byte{9});   // base
  EXPECT_EQ(bytes[997], std::byte{3});   // position
  EXPECT_EQ(bytes[1001], std::byte{100});
  EXPECT_EQ(bytes[1009], std::byte{'r'});
  EXPECT_EQ(bytes[1265], std::byte{0x42});
  EXPECT_EQ(bytes[1296], std::byte{0x42});
  EXPECT_EQ(bytes[1297], std::byte{0});
}

TEST(RecordChain, WithoutMapsThenTheVersionBefore) {
  EXPECT_EQ(encode_record(Record{})[10], std::byte{2});
}

TEST(RecordChain, ABaseThatIsNotOlderThenDamaged) {
  Record record = increment();
  record.chain.base = 12;
  expect_refused(record);
}

TEST(RecordChain, NoParentThenDamaged) {
  Record record = increment();
  record.chain.parent.clear();
  expect_refused(record);
}

TEST(RecordChain, AnAbsoluteParentThenDamaged) {
  Record record = increment();
  record.chain.parent = "/etc/passwd";
  expect_refused(record);
}

TEST(RecordChain, TooManyIncrementsThenDamaged) {
  Record record = increment();
  record.chain.position = (1U << 20U) + 1;
  expect_refused(record);
}

TEST(RecordChain, TheDigestIsOfAllThatTellsItFromOthers) {
  const codec::Digest digest = digest_of(increment());
  EXPECT_EQ(digest_of(increment()), digest);
  Record other = increment();
  other.run_id[3] = std::byte{1};
  EXPECT_NE(digest_of(other), digest);
  other = increment();
  other.saved_at += std::chrono::nanoseconds(1);
  EXPECT_NE(digest_of(other), digest);
  other = increment();
  other.chain.parent_digest[31] = std::byte{0};
  EXPECT_NE(digest_of(other), digest);
  other = increment();
  other.kind = CheckpointKind::breakpoint;
  EXPECT_NE(digest_of(other), digest);
  other = increment();
  other.image_bytes = 77;  // where things lie says nothing of what it is
  EXPECT_EQ(digest_of(other), digest);
}

}  // namespace
}  // namespace cairn::storage
