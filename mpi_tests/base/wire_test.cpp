#include "base/wire.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/message_of.hpp"

namespace cairn {
namespace {

using namespace std::string_literals;
using testing::message_of;

constexpr const char* kTooShort = "a message between ranks is shorter than it says";

template <class Action>
std::string damage(Action&& action) {
  return message_of(ErrorCode::damaged, std::forward<Action>(action));
}

struct Plain {
  std::uint64_t a;
  std::uint8_t b;

  bool operator==(const Plain&) const = default;
};

TEST(Wire, ValuesOfAnySizeThenTakenOutInTheSameOrder) {
  const Bytes message =
      WireWriter().put(std::uint8_t{7}).put(std::int64_t{-5}).put('x').put(2.5).take();
  EXPECT_EQ(message.size(), 1U + 8 + 1 + 8);
  WireReader reader(message);
  EXPECT_EQ(reader.get<std::uint8_t>(), 7);
  EXPECT_EQ(reader.get<std::int64_t>(), -5);
  EXPECT_EQ(reader.get<char>(), 'x');
  EXPECT_EQ(reader.get<double>(), 2.5);
  EXPECT_TRUE(reader.done());
}

TEST(Wire, ListsAndTextsThenTakenOutWhole) {
  const std::vector<std::uint64_t> numbers{1, 2, std::numeric_limits<std::uint64_t>::max()};
  const std::vector<Plain> plain{{1, 2}, {3, 4}};
  const Bytes message = WireWriter()
                            .put_text("a\0b"s)
                            .put_all(std::span(numbers))
                            .put_text("größe")
                            .put_all(std::span(plain))
                            .take();
  WireReader reader(message);
  EXPECT_EQ(reader.get_text(), "a\0b"s);
  EXPECT_EQ(reader.get_all<std::uint64_t>(), numbers);
  EXPECT_EQ(reader.get_text(), "größe");
  EXPECT_EQ(reader.get_all<Plain>(), plain);
  EXPECT_TRUE(reader.done());
}

TEST(Wire, EmptyListsAndTextsThenEmptyAgain) {
  const Bytes message =
      WireWriter().put_all(std::span<const double>{}).put_text("").put(std::uint8_t{1}).take();
  WireReader reader(message);
  EXPECT_TRUE(reader.get_all<double>().empty());
  EXPECT_EQ(reader.get_text(), "");
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.get<std::uint8_t>(), 1);
  EXPECT_TRUE(reader.done());
}

TEST(WireWriter, TakenThenEmptyAndReadyForTheNextMessage) {
  WireWriter writer;
  EXPECT_TRUE(writer.empty());
  writer.put(std::uint32_t{1});
  EXPECT_FALSE(writer.empty());
  EXPECT_EQ(writer.take().size(), 4U);
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.put(std::uint8_t{2}).take(), Bytes{std::byte{2}});
}

TEST(WireReader, NothingThereThenDone) {
  EXPECT_TRUE(WireReader({}).done());
  EXPECT_EQ(damage([] { WireReader({}).get<std::uint8_t>(); }), kTooShort);
}

TEST(WireReader, ValueCutOffThenDamaged) {
  const Bytes message(7);
  EXPECT_EQ(damage([&] { WireReader(message).get<std::uint64_t>(); }), kTooShort);
}

TEST(WireReader, CountBeyondTheMessageThenDamagedHoweverHuge) {
  // 2^61 elements of 8 bytes wrap to 0 bytes, 2^61 + 1 to 8.
  for (const std::uint64_t count :
       {std::uint64_t{2}, std::uint64_t{1} << 61, (std::uint64_t{1} << 61) + 1,
        std::numeric_limits<std::uint64_t>::max()}) {
    const Bytes message = WireWriter().put(count).put(std::uint64_t{0}).take();
    EXPECT_EQ(damage([&] { WireReader(message).get_all<std::uint64_t>(); }), kTooShort) << count;
  }
  const Bytes message =
      WireWriter().put(std::numeric_limits<std::uint64_t>::max()).put_text("abc").take();
  EXPECT_EQ(damage([&] { WireReader(message).get_text(); }), kTooShort);
}

TEST(WireReader, CutAnywhereThenDamagedAndNothingReadBeyond) {
  const std::vector<std::uint32_t> numbers{1, 2, 3};
  const Bytes message = WireWriter().put_text("name").put(2.5).put_all(std::span(numbers)).take();
  for (std::size_t size = 0; size < message.size(); ++size) {
    const Bytes cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(damage([&] {
                WireReader reader(cut);
                reader.get_text();
                reader.get<double>();
                reader.get_all<std::uint32_t>();
              }),
              kTooShort)
        << size << " bytes";
  }
}

}  // namespace
}  // namespace cairn
