// saved_network: another state is saved in place of the trained one.
#include "api/world.hpp"

namespace cairn::test {
namespace {

using Values = std::vector<float>;

Slice rows() { return split({12, 3}, 0, rank_of(), size_of_world()); }

/// Other names, values and slices than the trained state has.
class SavedNetwork : public World {
 protected:
  SavedNetwork() {
    trained_.add("w", std::span(weights_), rows());
    network_.add("average", std::span(averages_), rows()).add("scale", scale_);
    // This rank's part of 1000, 1001, …: no two elements are alike.
    const Slice slice = rows();
    for (std::size_t i = 0; i < averages_.size(); ++i) {
      averages_[i] = 1000.0F + static_cast<float>(slice.offset[0] * 3 + i);
    }
  }

  [[nodiscard]] ModelCheckpoint make(CheckpointSettings settings = {}) const {
    settings.saved_network = &network_;
    return {MPI_COMM_WORLD, "run", directory(), std::move(settings)};
  }
  void train() {
    for (float& weight : weights_) weight -= 1.0F;
  }
  /// `name` holds the network's values and nothing else, by columns too.
  void expect_network_in(const std::string& name, const LoadOptions& options = {}) {
    const Slice columns = split({12, 3}, 1, rank(), ranks());
    Values found(element_count(columns.extent));
    double scale = 0;
    State into;  // strict: one tensor more or less is an error
    into.add("average", std::span(found), columns).add("scale", scale);
    load(MPI_COMM_WORLD, path(name), into, options);
    const std::uint64_t width = columns.extent[1];
    for (std::uint64_t i = 0; i < found.size(); ++i) {
      const std::uint64_t row = i / width;
      const std::uint64_t column = columns.offset[1] + i % width;
      EXPECT_EQ(found[i], 1000.0F + static_cast<float>(3 * row + column)) << name;
    }
    EXPECT_EQ(scale, 0.25) << name;
  }

  Values weights_ = Values(element_count(rows().extent), 0.0F);
  Values averages_ = Values(element_count(rows().extent));
  double scale_ = 0.25;
  State trained_;
  State network_;
};

TEST_F(SavedNetwork, SavedByEveryWayThereIsThenItsValuesAndNotTheTrainedOnes) {
  ModelCheckpoint checkpoint = make({.save_checkpoint_steps = 2});
  for (std::uint64_t step = 1; step <= 2; ++step) {
    train();
    EXPECT_EQ(checkpoint.step_end(step, trained_), Next::go_on);
  }
  train();
  EXPECT_EQ(checkpoint.save(3, trained_).path, path("run-1_3.h5"));
  train();
  checkpoint.end(4, trained_);
  EXPECT_EQ(names(), (std::vector<std::string>{".lock-run", "run-1_2.h5", "run-1_3.h5",
                                               "run-1_4.h5"}));
  for (const char* name : {"run-1_2.h5", "run-1_3.h5", "run-1_4.h5"}) expect_network_in(name);
  EXPECT_EQ(weights_, Values(weights_.size(), -4.0F)) << "the trained state is left alone";
}

TEST_F(SavedNetwork, SavedByTheSecondsTriggerThenItsValuesAndNotTheTrainedOnes) {
  std::int64_t now = 0;
  CheckpointSettings settings{.save_checkpoint_seconds = 10};
  settings.clock = [&] { return Time(std::chrono::seconds(now)); };
  ModelCheckpoint checkpoint = make(std::move(settings));
  for (std::uint64_t step = 1; step <= 2; ++step) {
    now += 11;
    EXPECT_EQ(checkpoint.step_end(step, trained_), Next::go_on);
  }
  expect_network_in("run-1_2.h5");
}

TEST_F(SavedNetwork, ShardsOrSealedThenItIsSavedInThemToo) {
  make({.integrated_save = false}).save(1, trained_);
  expect_network_in("run-1_1.shards");
  const Key key = Key::from_hex("000102030405060708090a0b0c0d0e0f");
  ModelCheckpoint(MPI_COMM_WORLD, "sealed", directory(),
                  {.saved_network = &network_, .enc_key = key})
      .save(1, trained_);
  expect_network_in("sealed-1_1.h5.enc", {.enc_key = key});
}

TEST_F(SavedNetwork, ChangedBetweenSavesThenTheNextSaveHasTheChange) {
  ModelCheckpoint checkpoint = make();
  std::ranges::fill(averages_, -5.0F);
  checkpoint.save(1, trained_);
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    averages_[i] = 1000.0F + static_cast<float>(rows().offset[0] * 3 + i);
  }
  checkpoint.save(2, trained_);
  expect_network_in("run-1_2.h5");
}

TEST_F(SavedNetwork, RestoredThenTheStateThatIsGivenIsFilledAndTheNetworkIsLeftAlone) {
  make().save(7, trained_);
  const Values saved = averages_;
  std::ranges::fill(averages_, -5.0F);
  Values other(averages_.size());
  double scale = 0;
  State into;
  into.add("average", std::span(other), rows()).add("scale", scale);
  const auto restored = make().restore(into);
  ASSERT_TRUE(restored.has_value());
  EXPECT_EQ(restored->step, 7U);
  EXPECT_EQ(other, saved);
  EXPECT_EQ(scale, 0.25);
  EXPECT_EQ(averages_, Values(averages_.size(), -5.0F));
}

TEST_F(SavedNetwork, RestoredIntoAStateOfOtherTensorsThenAMismatch) {
  make().save(7, trained_);
  ModelCheckpoint checkpoint = make();
  expect_error([&] { static_cast<void>(checkpoint.restore(trained_)); }, ErrorCode::mismatch,
               {"\"w\"", "\"average\""});
}

TEST_F(SavedNetwork, NoneGivenThenTheTrainedStateIsSaved) {
  train();
  ModelCheckpoint(MPI_COMM_WORLD, "run", directory()).save(1, trained_);
  weights_.assign(weights_.size(), 0.0F);
  load(MPI_COMM_WORLD, path("run-1_1.h5"), trained_);
  EXPECT_EQ(weights_, Values(weights_.size(), -1.0F));
}

TEST_F(SavedNetwork, GivenOnSomeRanksOnlyThenAnErrorOnAllThatNamesIt) {
  if (ranks() == 1) GTEST_SKIP() << "one rank differs from nobody";
  const State* const mine = rank() == ranks() - 1 ? nullptr : &network_;
  const auto make = [&] {
    ModelCheckpoint(MPI_COMM_WORLD, "run", directory(), {.saved_network = mine});
  };
  expect_error(make, ErrorCode::invalid_argument,
               {"saved_network", "same on every rank", "rank " + std::to_string(ranks() - 1)});
  EXPECT_EQ(names(), std::vector<std::string>{});
}

}  // namespace
}  // namespace cairn::test
