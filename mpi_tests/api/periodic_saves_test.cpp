// Settings that turn periodic saves off: what is asked for is saved all the same.
#include "api/world.hpp"

namespace cairn::test {
namespace {

class PeriodicSaves : public World {
 protected:
  /// Ten steps, with an explicit save in step 4, and the end.
  void expect_asked_for_alone(CheckpointSettings settings) {
    State state;
    std::int64_t count = 0;
    state.add("count", count);
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), std::move(settings));
    for (std::uint64_t step = 1; step <= 10; ++step) {
      if (step == 4) checkpoint.save(step, state);
      EXPECT_EQ(checkpoint.step_end(step, state), Next::go_on);
    }
    EXPECT_EQ(names(), (std::vector<std::string>{".lock-run", "run-1_4.h5"}));
    checkpoint.end(10, state);
    EXPECT_EQ(names(), (std::vector<std::string>{".lock-run", "run-1_10.h5", "run-1_4.h5"}));
  }
};

TEST_F(PeriodicSaves, StepsZeroWithTheRestUnsetThenExplicitSavesAndTheEndAlone) {
  expect_asked_for_alone({.save_checkpoint_steps = 0});
}

TEST_F(PeriodicSaves, StepsNoneWithTheRestUnsetThenExplicitSavesAndTheEndAlone) {
  expect_asked_for_alone({.save_checkpoint_steps = none});
}

TEST_F(PeriodicSaves, StepsAndSecondsZeroThenExplicitSavesAndTheEndAlone) {
  expect_asked_for_alone({.save_checkpoint_steps = 0, .save_checkpoint_seconds = 0});
}

TEST_F(PeriodicSaves, StepsAndSecondsZeroWithAMaximumThenExplicitSavesAndTheEndAlone) {
  expect_asked_for_alone({.save_checkpoint_steps = 0,
                          .save_checkpoint_seconds = 0,
                          .keep_checkpoint_max = 5,
                          .keep_checkpoint_per_n_minutes = 0});
}

}  // namespace
}  // namespace cairn::test
