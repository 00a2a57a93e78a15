#include "coord/patience.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace cairn::coord {
namespace {

using ::testing::ElementsAre;
using ::testing::Each;
using ::testing::IsEmpty;
using std::chrono::microseconds;

/// How long each of so many pauses wanted to sleep, of those that did.
std::vector<microseconds> sleeps(Patience& patience, int pauses) {
  std::vector<microseconds> asked;
  for (int i = 0; i < pauses; ++i) {
    patience.pause([&](microseconds most) { asked.push_back(most); });
  }
  return asked;
}

TEST(PatienceTest, FirstItGivesTheProcessorAwayWithoutSleeping) {
  Patience patience(5);
  EXPECT_THAT(sleeps(patience, 5), IsEmpty());
  EXPECT_THAT(sleeps(patience, 1), ElementsAre(microseconds(100)));
}

TEST(PatienceTest, ANapIsAQuarterOfTheWaitSoFarFromATenthOfAMillisecondToAWholeOne) {
  Patience patience(0);
  EXPECT_THAT(sleeps(patience, 7),
              ElementsAre(microseconds(100), microseconds(100), microseconds(100),
                          microseconds(100), microseconds(100), microseconds(125),
                          microseconds(156)));
  static_cast<void>(sleeps(patience, 20));
  EXPECT_THAT(sleeps(patience, 3), Each(microseconds(1000)));
}

TEST(PatienceTest, WhenSomethingMovedItBeginsAnew) {
  Patience patience(2);
  static_cast<void>(sleeps(patience, 40));
  patience.reset();
  EXPECT_THAT(sleeps(patience, 3), ElementsAre(microseconds(100)));
}

}  // namespace
}  // namespace cairn::coord
