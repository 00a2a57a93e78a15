#include "soak_model.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "failure.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;

class SoakModelTest : public ::testing::Test {
 protected:
  SoakModelTest() : directory_(made()), model_(directory_, true) {}
  ~SoakModelTest() override { fs::remove_all(directory_); }

  static fs::path made() {
    std::string name = (fs::temp_directory_path() / "soak-XXXXXX").string();
    return ::mkdtemp(name.data()) == nullptr ? "/nowhere" : name;
  }
  void save(std::uint64_t sequence, const std::string& name) {
    model_.begun(sequence);
    std::ofstream(directory_ / name) << std::string(1000, 's');
    model_.committed(sequence, directory_ / name);
  }
  void restored(std::uint64_t sequence, bool right = true) {
    model_.restored(sequence, right, "restored");
  }
  [[nodiscard]] bool is_as_saved(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return std::string((std::istreambuf_iterator<char>(file)), {}) == std::string(1000, 's');
  }

  fs::path directory_;
  SoakModel model_;
  std::mt19937_64 chance_{1};
};

TEST_F(SoakModelTest, NothingWasCommittedThenNothingNeedBeFound) {
  restored(0);
  model_.begun(1);
  restored(0);
}

TEST_F(SoakModelTest, WhatWasCommittedAndIsNotFoundIsLost) {
  save(1, "a-1_1.h5");
  save(2, "a-1_2.h5");
  EXPECT_NO_THROW(restored(2));
  EXPECT_THROW(restored(1), Failure);
  EXPECT_THROW(restored(0), Failure);
}

TEST_F(SoakModelTest, WhatHadBegunMayBeFoundAndNothingElse) {
  save(1, "a-1_1.h5");
  model_.begun(2);
  EXPECT_NO_THROW(restored(2));
  EXPECT_THROW(restored(3), Failure);
}

TEST_F(SoakModelTest, WrongValuesAreAFailure) {
  save(1, "a-1_1.h5");
  EXPECT_THROW(restored(1, false), Failure);
}

TEST_F(SoakModelTest, DamageHitsTheNewestWhereAnOlderOneIsLeft) {
  save(1, "a-1_1.h5");
  EXPECT_FALSE(model_.damage(chance_));
  save(2, "a-1_2.h5");
  EXPECT_TRUE(model_.damage(chance_));
  EXPECT_TRUE(is_as_saved("a-1_1.h5"));
  EXPECT_FALSE(is_as_saved("a-1_2.h5"));
  EXPECT_NO_THROW(restored(1));
  EXPECT_FALSE(model_.damage(chance_));
}

TEST_F(SoakModelTest, ANewOneOfTheSameNameTakesThePlaceOfADamagedOne) {
  save(1, "a-1_1.h5");
  save(2, "a-1_2.h5");
  EXPECT_TRUE(model_.damage(chance_));
  save(2, "a-1_2.shards");
  EXPECT_THROW(restored(1), Failure);
}

}  // namespace
}  // namespace bench
