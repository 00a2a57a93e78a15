// The ready-made listeners: what they write, and that rank 0 alone does.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "api/training.hpp"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

class LogTest : public Training {
 protected:
  LogSink sink() {
    return [this](Severity severity, std::string_view line) {
      (severity == Severity::info ? infos_ : complaints_).emplace_back(line);
    };
  }
  void save(Listener& listener, std::uint64_t step, bool asynchronous = false) {
    CheckpointSettings settings = async();
    settings.async_save = asynchronous;
    settings.keep_checkpoint_max = 1;
    settings.listener = &listener;
    ModelCheckpoint checkpoint = make(settings);
    if (step > 1) {
      EXPECT_TRUE(checkpoint.restore(state_).has_value());
    }
    train_to(step);
    static_cast<void>(checkpoint.step_end(step, state_));
    EXPECT_TRUE(checkpoint.wait());
  }
  /// The lines of a file, parsed.
  [[nodiscard]] std::vector<nlohmann::json> lines(const std::string& name) const {
    std::vector<nlohmann::json> all;
    std::ifstream file(path(name));
    for (std::string line; std::getline(file, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }

  std::vector<std::string> infos_;
  std::vector<std::string> complaints_;
};

TEST_F(LogTest, OneLineASaveThenWhatWentOnRankZeroAlone) {
  LogListener log(sink());
  save(log, 1);
  if (rank() != 0) {
    EXPECT_THAT(infos_, IsEmpty());
    return;
  }
  EXPECT_THAT(infos_,
              ElementsAre(AllOf(HasSubstr("saved step 1 to " + path("run-1_1.h5").string()),
                                MatchesRegex(".*: [0-9.]+ KiB in [0-9.]+ s, stall [0-9.]+ s .*"),
                                HasSubstr("(planning "), HasSubstr(", publishing "))));
  EXPECT_THAT(complaints_, IsEmpty());
}

TEST_F(LogTest, DeletedAndSkippedFilesThenALineEach) {
  LogListener log(sink());
  save(log, 1);
  save(log, 2);
  on_root([this] {
    std::filesystem::resize_file(path("run-1_2.h5"), 4096);
    std::filesystem::copy_file(path("run-1_2.h5"), path("run-1_3.h5"));
  });
  ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), {.listener = &log});
  EXPECT_THROW(checkpoint.restore(state_), Error);
  if (rank() != 0) {
    EXPECT_THAT(infos_, IsEmpty());
    EXPECT_THAT(complaints_, IsEmpty());
    return;
  }
  ASSERT_EQ(infos_.size(), 3U);
  EXPECT_EQ(infos_.back(), "deleted " + path("run-1_1.h5").string());
  ASSERT_EQ(complaints_.size(), 2U);
  for (const std::string& line : complaints_) {
    EXPECT_THAT(line, HasSubstr("passed over " + path("run-1_").string()));
  }
}

TEST_F(LogTest, FailureThenAnErrorWithItsReason) {
  LogListener log(sink());
  const auto save_badly = [&] {
    State twice;
    twice.add("w", std::span<const float>(), Slice{{4}, {0}, {0}});
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), {.listener = &log});
    checkpoint.save(7, twice);
  };
  EXPECT_THROW(save_badly(), Error);
  if (rank() != 0) return;
  EXPECT_THAT(complaints_, ElementsAre(AllOf(HasSubstr("the save of step 7 to"),
                                             HasSubstr("failed: "), HasSubstr("\"w\""))));
}

TEST_F(LogTest, JsonLinesThenEachEventIsAnObjectWithItsFields) {
  {
    JsonLinesListener json(path("log.jsonl"));
    LogListener log(sink());
    Listeners both({&json, nullptr, &log});
    save(both, 1, true);
    EXPECT_TRUE(json.good());
  }
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(infos_.size(), rank() == 0 ? 2U : 0U);  // the save, and the wait for it
  const std::vector<nlohmann::json> all = lines("log.jsonl");
  std::vector<std::string> events;
  for (const nlohmann::json& line : all) {
    events.push_back(line.at("event"));
    EXPECT_EQ(line.at("rank"), 0);
    EXPECT_EQ(line.at("step"), 1);
    EXPECT_EQ(line.at("sequence"), 1);
    EXPECT_EQ(line.at("path"), path("run-1_1.h5").string());
    EXPECT_GT(line.at("time"), 1.7e9);
  }
  EXPECT_EQ(std::ranges::count(events, "phase"), 8);
  for (const char* once : {"started", "captured", "committed", "waited"}) {
    EXPECT_EQ(std::ranges::count(events, once), 1) << once;
  }
  const auto committed = std::ranges::find(events, "committed") - events.begin();
  const nlohmann::json& line = all.at(static_cast<std::size_t>(committed));
  EXPECT_EQ(line.at("bytes"), std::filesystem::file_size(path("run-1_1.h5")));
  EXPECT_GT(line.at("stall_seconds"), 0);
  EXPECT_GT(line.at("seconds").at("capturing"), 0);
  EXPECT_GT(line.at("seconds").at("moving"), 0);
}

TEST_F(LogTest, FileThatCannotBeWrittenThenItIsNotGoodAndTheSaveIs) {
  JsonLinesListener json(path("no such directory") / "log.jsonl");
  save(json, 1);
  EXPECT_EQ(json.good(), rank() != 0);
  on_root([this] { EXPECT_TRUE(std::filesystem::exists(path("run-1_1.h5"))); });
}

}  // namespace
}  // namespace cairn::test
