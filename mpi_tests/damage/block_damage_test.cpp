// Whole blocks are in the wrong place, or of another file: found, and told apart where they can be.
#include "damage/victim.hpp"

namespace cairn::test {
namespace {

class Blocks : public Victim, public ::testing::WithParamInterface<Protected> {
 protected:
  Blocks() : Victim(GetParam(), std::uint64_t{2} << 20) {
    leave_two();
    file_ = values_file(newer());
    on_root([&] {
      const Places places = places_of(file_);
      one_ = places.image_bytes / places.block_bytes / 2 - 1;
    });
    one_ = std::stoull(share(std::to_string(one_)));
    other_ = one_ + 2;
  }

  /// Rank 0's.
  struct Opened {
    explicit Opened(const fs::path& path) : places(places_of(path)), file(path) {}
    [[nodiscard]] std::uint64_t offset(std::uint64_t block) const {
      return places.blocks_at + block * places.block_bytes;
    }
    [[nodiscard]] RawBytes block(std::uint64_t number) const {
      return file.read(offset(number), places.block_bytes);
    }
    void put(std::uint64_t number, const RawBytes& bytes) const {
      file.write(offset(number), bytes);
    }
    Places places;
    RawFile file;
  };
  void change(const std::function<void(const Opened&)>& how) {
    on_root([&] { how(Opened(file_)); });
  }
  [[nodiscard]] static std::string named(std::uint64_t block) {
    return "block " + std::to_string(block);
  }
  /// What a reader says of a block that is none of its file's.
  [[nodiscard]] std::string foreign_words() const {
    return is_sealed(how_.guard) ? "its tag is wrong; it holds values of" : "has the CRC";
  }

  fs::path file_;            ///< a shard of the newer one, or it
  std::uint64_t one_ = 0;    ///< a block in the midst of its body
  std::uint64_t other_ = 0;  ///< another
};

TEST_P(Blocks, ThatChangedPlacesAreNamed) {
  change([this](const Opened& file) {
    const RawBytes one = file.block(one_);
    file.put(one_, file.block(other_));
    file.put(other_, one);
  });
  expect_fallback({file_.filename().string(), "have changed places", named(one_), named(other_),
                   "it holds values of 'big."});
}

TEST_P(Blocks, ThatStandTwiceAreNamed) {
  change([this](const Opened& file) { file.put(one_, file.block(other_)); });
  expect_fallback({named(one_), "it is a copy of " + named(other_) + " of this file"});
}

TEST_P(Blocks, OneThatIsDroppedWhileTheOthersMoveUpIsNamed) {
  change([this](const Opened& file) {
    for (std::uint64_t k = one_; k < other_; ++k) file.put(k, file.block(k + 1));
    file.put(other_, RawBytes(file.places.block_bytes));
  });
  // Every one of them verifies as its successor, and the last as none; any may be met first.
  const Outcome outcome = restore();
  EXPECT_TRUE(outcome.fell_back(kOlder, newer())) << outcome.text();
  const bool told = outcome.reason().find("which was moved") != std::string::npos ||
                    outcome.reason().find(foreign_words()) != std::string::npos;
  EXPECT_TRUE(told) << outcome.reason();
}

TEST_P(Blocks, OneThatMovedIsNamed) {
  change([this](const Opened& file) {
    file.put(one_, file.block(other_));
    file.put(other_, RawBytes(file.places.block_bytes));
  });
  const Outcome outcome = restore();
  EXPECT_TRUE(outcome.fell_back(kOlder, newer())) << outcome.text();
  if (outcome.reason().find(named(one_) + ", ") != std::string::npos) {
    EXPECT_NE(outcome.reason().find("it is " + named(other_) + " of this file, which was moved"),
              std::string::npos)
        << outcome.reason();
  }
}

TEST_P(Blocks, OneOfTheOlderFileIsFound) {
  change([this](const Opened& file) {
    const Opened old(values_file(older()));
    file.put(one_, old.block(one_));
  });
  expect_fallback({named(one_), foreign_words()});
  EXPECT_EQ(restore().reason().find("of this file"), std::string::npos);
}

TEST_P(Blocks, OneOfTheOlderFileWithItsMarkIsFound) {
  change([this](const Opened& file) {
    const Opened old(values_file(older()));
    file.put(one_, old.block(one_));
    const Places& places = file.places;
    const std::uint64_t bytes = places.sealed ? places.tag_bytes : 16;
    const std::uint64_t at = places.tail_offset + one_ * bytes;
    file.file.write(at, old.file.read(at, bytes));
  });
  expect_fallback({is_sealed(how_.guard) ? "the table of tags" : "the tail's CRC"});
}

INSTANTIATE_TEST_SUITE_P(
    Protections, Blocks,
    ::testing::Values(Protected{Guard::crc, false}, Protected{Guard::aes_gcm, false},
                      Protected{Guard::aes_cbc, false}, Protected{Guard::sm4_cbc, false},
                      Protected{Guard::crc, true}, Protected{Guard::aes_gcm, true}),
    [](const auto& one) { return to_string(one.param); });

/// With zlib's polynomial, for tables that somebody else makes right again.
std::uint32_t crc_of(const RawBytes& bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

RawBytes bytes_of(std::uint32_t number) {
  RawBytes bytes(sizeof number);
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

class SealedTables : public Blocks {
 protected:
  /// Changes the table of tags and gives it a right CRC again.
  void change_table(const std::function<void(RawBytes& table, const Places& places)>& how) {
    change([&](const Opened& file) {
      const Places& places = file.places;
      RawBytes table =
          file.file.read(places.tail_offset, places.file_bytes - places.tail_offset - 4);
      how(table, places);
      file.file.write(places.tail_offset, table);
      file.file.write(places.file_bytes - 4, bytes_of(crc_of(table)));
    });
  }
};

TEST_P(SealedTables, ADamagedTableIsNamed) {
  change([this](const Opened& file) {
    const RawBytes tag = file.file.read(file.places.tail_offset, 16);
    file.file.write(file.places.tail_offset + file.places.tag_bytes, tag);
  });
  expect_fallback({"the table of tags", "is damaged: its CRC is wrong"});
}

TEST_P(SealedTables, AForeignBlockWithItsTagAndARightCrcIsAForgery) {
  change_table([this](RawBytes& table, const Places& places) {
    const Opened old(values_file(older()));
    const Opened file(file_);
    file.put(one_, old.block(one_));
    const RawBytes tag =
        old.file.read(places.tail_offset + one_ * places.tag_bytes, places.tag_bytes);
    std::ranges::copy(tag, table.begin() + static_cast<std::ptrdiff_t>(one_ * places.tag_bytes));
  });
  expect_fallback({"the table of tags", "was forged or belongs to another file: its MAC is wrong"});
}

TEST_P(SealedTables, TagsThatChangedPlacesWithTheirBlocksAreAForgery) {
  change_table([this](RawBytes& table, const Places& places) {
    const Opened file(file_);
    const RawBytes one = file.block(one_);
    file.put(one_, file.block(other_));
    file.put(other_, one);
    const auto tag = [&](std::uint64_t k) {
      return table.begin() + static_cast<std::ptrdiff_t>(k * places.tag_bytes);
    };
    std::swap_ranges(tag(one_), tag(one_ + 1), tag(other_));
  });
  expect_fallback({"its MAC is wrong"});
}

TEST_P(SealedTables, TheTableOfTheOlderFileIsAForgery) {
  change([this](const Opened& file) {
    const Opened old(values_file(older()));
    const Places& places = file.places;
    file.file.write(places.tail_offset,
                    old.file.read(places.tail_offset, places.file_bytes - places.tail_offset));
  });
  expect_fallback({"its MAC is wrong"});
}

TEST_P(SealedTables, TheHeadAndABlockOfTheBodyThatChangedPlacesAreNamed) {
  change([this](const Opened& file) {
    const RawBytes head = file.block(0);
    file.put(0, file.block(other_));
    file.put(other_, head);
  });
  expect_fallback({named(0), named(other_) + " of this file have changed places"});
}

INSTANTIATE_TEST_SUITE_P(Protections, SealedTables,
                         ::testing::Values(Protected{Guard::aes_gcm, false},
                                           Protected{Guard::aes_cbc, false},
                                           Protected{Guard::sm4_cbc, false},
                                           Protected{Guard::aes_gcm, true}),
                         [](const auto& one) { return to_string(one.param); });

}  // namespace
}  // namespace cairn::test
