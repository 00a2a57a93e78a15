// What a restore passed over is moved out of the way, where that is asked for, and left alone then.
#include "damage/victim.hpp"

namespace cairn::test {
namespace {

using Names = std::vector<std::string>;

class Quarantine : public Victim, public ::testing::WithParamInterface<Protected> {
 protected:
  Quarantine() : Victim(GetParam(), std::uint64_t{1} << 18) { leave_two(); }

  [[nodiscard]] CheckpointSettings quarantining() const {
    CheckpointSettings with = settings();
    with.quarantine_damaged = true;
    return with;
  }
  void damage(const fs::path& checkpoint) {
    on_root([&] {
      const fs::path file = values_file(checkpoint);
      fs::resize_file(file, fs::file_size(file) - 1);
    });
  }
  static fs::path aside(const fs::path& checkpoint, const std::string& number = {}) {
    return checkpoint.string() + ".damaged" + number;
  }
  /// Restores over a damaged newer one and saves it again.
  Outcome restore_and_save_again(CheckpointSettings with) {
    Outcome outcome = restore(with);
    leave({kNewer}, with);
    return outcome;
  }
  static Names sorted(std::vector<fs::path> paths) {
    Names all;
    for (const fs::path& one : paths) all.push_back(one.filename().string());
    std::ranges::sort(all);
    return all;
  }

  float more_ = 0;
};

TEST_P(Quarantine, WhatWasDamagedBearsANameThatNothingReads) {
  damage(newer());
  const Outcome outcome = restore(quarantining());
  EXPECT_TRUE(outcome.fell_back(kOlder, newer())) << outcome.text();
  for (const Skipped& one : outcome.restored.skipped) EXPECT_EQ(one.quarantined, aside(newer()));
  EXPECT_EQ(names(), sorted({older(), aside(newer())}));

  const Outcome again = restore(quarantining());
  EXPECT_EQ(again.restored.path, older());
  EXPECT_TRUE(again.restored.skipped.empty()) << again.text();
  EXPECT_EQ(names(), sorted({older(), aside(newer())}));
}

TEST_P(Quarantine, ASecondOneOfTheNameTakesANumber) {
  for (const char* number : {"", ".1", ".2"}) {
    damage(newer());
    const Outcome outcome = restore_and_save_again(quarantining());
    for (const Skipped& one : outcome.restored.skipped) {
      EXPECT_EQ(one.quarantined, aside(newer(), number));
    }
    EXPECT_EQ(outcome.restored.skipped.size(), 1U);
  }
  expect_newer_is_good();
  EXPECT_EQ(names(),
            sorted({older(), newer(), aside(newer()), aside(newer(), ".1"), aside(newer(), ".2")}));
}

TEST_P(Quarantine, RetentionNeitherCountsNorDeletesIt) {
  damage(newer());
  CheckpointSettings with = quarantining();
  with.keep_checkpoint_max = 2;
  {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), with);
    EXPECT_TRUE(checkpoint.restore(model_.state()).has_value());
    for (const std::uint64_t step : {8U, 9U, 10U, 11U}) {
      model_.train_to(step);
      checkpoint.save(step, model_.state());
    }
  }
  EXPECT_EQ(names(), sorted({path_of(10), path_of(11), aside(newer())}));
}

TEST_P(Quarantine, IsNotDoneUnlessItIsAskedFor) {
  damage(newer());
  const Outcome outcome = restore();
  for (const Skipped& one : outcome.restored.skipped) EXPECT_EQ(one.quarantined, fs::path());
  EXPECT_EQ(names(), sorted({older(), newer()}));
}

TEST_P(Quarantine, IsNotDoneByARestoreThatThrows) {
  damage(newer());
  model_.state().add("more", more_);  // the older one is whole and does not fit
  const Outcome outcome = restore(quarantining());
  EXPECT_EQ(outcome.code, ErrorCode::mismatch) << outcome.text();
  EXPECT_EQ(names(), sorted({older(), newer()}));
}

INSTANTIATE_TEST_SUITE_P(Protections, Quarantine,
                         ::testing::Values(Protected{Guard::plain, false},
                                           Protected{Guard::crc, true},
                                           Protected{Guard::aes_gcm, false},
                                           Protected{Guard::aes_cbc, true}),
                         [](const auto& one) { return to_string(one.param); });

}  // namespace
}  // namespace cairn::test
