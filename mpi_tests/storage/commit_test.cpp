#include "storage/commit.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "storage/child_process.hpp"
#include "storage/directory.hpp"
#include "storage/expect_error.hpp"
#include "storage/sample_directory.hpp"
#include "storage/system_calls.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;
using cairn::testing::Call;
using cairn::testing::calls_of;
using cairn::testing::CallWatch;
using cairn::testing::ChildProcess;
using cairn::testing::expect_error;
using cairn::testing::sample_identity;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kName = "CKP-1_7.h5";
constexpr const char* kAside = "CKP-1_7.h5.replaced";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class CommitTest : public cairn::testing::DirectoryTest {
 protected:
  [[nodiscard]] Commit commit_of(const std::string& name, bool durable = true) const {
    return {at(name), sample_identity(), durable};
  }

  void refused(const std::string& name) const { static_cast<void>(commit_of(name)); }

  /// Steps (1) to (10) as one rank runs them.
  void save(const std::string& name, const std::string& text) const {
    Commit commit = commit_of(name);
    const PosixFile file = commit.create();
    file.write(bytes_of(text), 0);
    file.sync();
    commit.publish();
    commit.discard_replaced();
  }

  /// The entries that a reader or a later job takes for checkpoints.
  [[nodiscard]] Names checkpoints() const {
    Names all;
    for (const Found& found : list_checkpoints(at(""))) {
      all.push_back(found.path.filename().string());
    }
    return all;
  }

  /// I2 at this moment for the name that had "old".
  [[nodiscard]] ::testing::AssertionResult has_a_whole_one() const {
    const std::string text = text_in(kName);
    if (text == "old" || text == "new") return ::testing::AssertionSuccess();
    if (text == "-" && text_in(kAside) == "old") return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << text << " there, " << text_in(kAside) << " aside";
  }
};

// ---- I1: what bears a final name is complete and durable

TEST_F(CommitTest, I1NothingBearsTheFinalNameBeforeItIsPublished) {
  Commit commit = commit_of(kName);
  const PosixFile file = commit.create();
  EXPECT_THAT(checkpoints(), IsEmpty());
  file.write(bytes_of("new"), 0);
  EXPECT_THAT(checkpoints(), IsEmpty());
  commit.publish();
  EXPECT_THAT(names(), ElementsAre(kName));
  EXPECT_EQ(text_in(kName), "new");
}

TEST_F(CommitTest, I1ANameIsMadeDurableBeforePublishReturns) {
  Commit commit = commit_of(kName);
  const PosixFile file = commit.create();
  EXPECT_THAT(calls_of([&] { commit.publish(); }), ElementsAre(Call::rename, Call::sync));
}

TEST_F(CommitTest, I1WithoutDurabilityThenNothingIsSynced) {
  Commit commit = commit_of(kName, false);
  const PosixFile file = commit.create();
  EXPECT_THAT(calls_of([&] { commit.publish(); }), ElementsAre(Call::rename));
}

TEST_F(CommitTest, I1TheDirectoriesMadeForItAreDurableInTheirParents) {
  Commit commit = commit_of("a/b/CKP-1_7.h5");
  const auto calls = calls_of([&] { commit.create(); });
  EXPECT_THAT(calls, ElementsAre(Call::make_directory, Call::sync, Call::make_directory, Call::sync,
                                 Call::lock));
}

// ---- I2: a name that had a complete checkpoint has one at every moment

TEST_F(CommitTest, I2BetweenAnyTwoCallsTheOldOrTheNewOneIsThere) {
  put(kName, "old");
  int looks = 0;
  {
    const CallWatch watch([&](Call) {
      EXPECT_TRUE(has_a_whole_one()) << "before call " << looks;
      ++looks;
      return 0;
    });
    save(kName, "new");
  }
  EXPECT_GT(looks, 5);
  EXPECT_EQ(text_in(kName), "new");
  EXPECT_THAT(names(), ElementsAre(kName));
}

TEST_F(CommitTest, I2WhereverTheProcessDiesTheOldOrTheNewOneIsThere) {
  int deaths = 0;
  for (int ended = 1; ended != 0; ++deaths) {
    SCOPED_TRACE("died before call " + std::to_string(deaths));
    fs::remove_all(at(""));
    fs::create_directory(at(""));
    put(kName, "old");
    ChildProcess child([&](const ChildProcess::Hold&) {
      const CallWatch watch([left = deaths](Call) mutable {
        if (left-- == 0) _exit(1);
        return 0;
      });
      save(kName, "new");
    });
    ended = child.wait();
    EXPECT_TRUE(has_a_whole_one());
    // The next job saves the same step again, and nothing of the dead one is left.
    EXPECT_NO_THROW(save(kName, "newer"));
    EXPECT_EQ(text_in(kName), "newer");
    sweep(at(""), {sample_identity(), std::chrono::seconds(1), std::chrono::milliseconds(0)});
    EXPECT_THAT(names(), ElementsAre(kName));
    ASSERT_LT(deaths, 100);
  }
  EXPECT_GT(deaths, 5);
}

TEST_F(CommitTest, I2AnOlderOneThatACrashLeftAsideIsOverwrittenByTheNewerNotTheOtherWayRound) {
  put(kName, "old");
  put(kAside, "older");
  Commit commit = commit_of(kName);
  commit.create().write(bytes_of("new"), 0);
  commit.publish();
  EXPECT_EQ(text_in(kName), "new");
  EXPECT_EQ(text_in(kAside), "old");
  commit.discard_replaced();
  EXPECT_THAT(names(), ElementsAre(kName));
}

TEST_F(CommitTest, I2WhereOnlyTheOneAsideIsLeftItStaysUntilTheNewOneIsPublished) {
  put(kAside, "old");
  {
    Commit commit = commit_of(kName);
    const PosixFile file = commit.create();
    file.write(bytes_of("new"), 0);
    EXPECT_EQ(text_in(kAside), "old");
    const CallWatch watch([](Call call) { return call == Call::rename ? EIO : 0; });
    EXPECT_THROW(commit.publish(), Error);
    EXPECT_EQ(text_in(kAside), "old");
  }
  EXPECT_THAT(names(), ElementsAre(kAside));
  save(kName, "new");
  EXPECT_THAT(names(), ElementsAre(kName));
}

// ---- I3: a failed attempt leaves the directory as it was

TEST_F(CommitTest, I3AnAttemptThatIsDroppedLeavesNothing) {
  put(kName, "old");
  {
    Commit commit = commit_of(kName);
    commit.create().write(bytes_of("half"), 0);
    EXPECT_EQ(names().size(), 2U);
  }
  EXPECT_THAT(names(), ElementsAre(kName));
  EXPECT_EQ(text_in(kName), "old");
}

TEST_F(CommitTest, I3AnAttemptThatNeverBeganRemovesNothing) {
  { const Commit commit = commit_of(kName); }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(CommitTest, I3WhicheverCallOfPublishFailsTheOldOneIsBack) {
  const std::size_t calls = 3;  // aside, into place, sync
  for (std::size_t failing = 0; failing <= calls; ++failing) {
    SCOPED_TRACE("call " + std::to_string(failing) + " fails");
    put(kName, "old");
    Commit commit = commit_of(kName);
    commit.create().write(bytes_of("new"), 0);
    bool failed = false;
    {
      const CallWatch watch([left = failing](Call) mutable { return left-- == 0 ? EIO : 0; });
      try {
        commit.publish();
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), ErrorCode::io);
        EXPECT_THAT(error.what(), HasSubstr("Input/output error"));
        EXPECT_THAT(error.what(), Not(HasSubstr("not known")));
      }
    }
    EXPECT_EQ(failed, failing < calls);
    EXPECT_EQ(text_in(kName), failed ? "old" : "new");
    EXPECT_EQ(exists(kAside), !failed);
    commit.discard_replaced();
  }
}

TEST_F(CommitTest, I3WhereNothingWorksAnyMoreTheErrorSaysWhereTheOldOneIs) {
  const std::string aside = "what was there is " + at(kAside).string() + " now";
  struct Case {
    int working;  ///< calls that work before all fail
    std::string told;
    const char* where;
    const char* what;
  };
  for (const Case& one : {Case{0, "cannot rename", kName, "old"}, Case{1, aside, kAside, "old"},
                          Case{2, "durable is not known", kName, "new"}}) {
    SCOPED_TRACE(std::to_string(one.working) + " calls work");
    fs::remove(at(kAside));
    put(kName, "old");
    Commit commit = commit_of(kName);
    commit.create().write(bytes_of("new"), 0);
    {
      const CallWatch watch([left = one.working](Call) mutable { return left-- > 0 ? 0 : EIO; });
      expect_error(ErrorCode::io, {one.told.c_str()}, [&] { commit.publish(); });
    }
    EXPECT_TRUE(has_a_whole_one());
    EXPECT_EQ(text_in(one.where), one.what);
  }
}

TEST_F(CommitTest, I3WhereTheTemporaryFileWentThePublishingFailsAndTheOldOneIsBack) {
  put(kName, "old");
  Commit commit = commit_of(kName);
  const PosixFile file = commit.create();
  fs::remove(commit.temporary());
  expect_error(ErrorCode::not_found, {"cannot rename", ".tmp-", kName}, [&] { commit.publish(); });
  EXPECT_THAT(names(), ElementsAre(kName));
  EXPECT_EQ(text_in(kName), "old");
}

TEST_F(CommitTest, I3WhereTheDirectoryWentPublishingFailsAndMakesNothing) {
  Commit commit = commit_of("gone/CKP-1_7.h5");
  const PosixFile file = commit.create();
  fs::remove_all(at("gone"));
  expect_error(ErrorCode::not_found, {"cannot rename", "gone"}, [&] { commit.publish(); });
  EXPECT_FALSE(exists("gone"));
}

TEST_F(CommitTest, I3AnotherAttemptUnderTheSameTemporaryNameIsLeftAlone) {
  Commit first = commit_of(kName);
  const PosixFile file = first.create();
  {
    Commit second = commit_of(kName);
    expect_error(ErrorCode::io, {"cannot create", "exists"}, [&] { second.create(); });
  }
  EXPECT_TRUE(fs::exists(first.temporary()));
  EXPECT_NO_THROW(first.publish());
}

// ---- I4: a temporary file in use is held by a lock

TEST_F(CommitTest, I4AFileInUseIsHeldAndAnAbandonedOneIsNot) {
  ChildProcess child([&](const ChildProcess::Hold& hold) {
    Commit commit = commit_of(kName);
    const PosixFile file = commit.create();
    hold();
  });
  ASSERT_TRUE(child.holding());
  ASSERT_EQ(names().size(), 1U);
  const PosixFile temporary = PosixFile::open_for_writing(at(names().front()));
  EXPECT_FALSE(temporary.try_lock_exclusive());
  child.kill();
  EXPECT_TRUE(temporary.try_lock_exclusive());
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(CommitTest, I4WithoutLocksThereIsNothingToHoldAndASaveGoesOn) {
  for (const int refusal : {ENOLCK, ENOSYS, EINVAL, EOPNOTSUPP}) {
    const CallWatch watch([=](Call call) { return call == Call::lock ? refusal : 0; });
    EXPECT_NO_THROW(save(kName, "new"));
  }
  EXPECT_THAT(names(), ElementsAre(kName));
}

TEST_F(CommitTest, I4AFileSweptBeforeItWasHeldIsMadeAgain) {
  Commit commit = commit_of(kName);
  int sweeps = 0;
  std::unique_ptr<PosixFile> file;
  {
    const CallWatch watch([&](Call call) {
      if (call == Call::lock && fs::exists(commit.temporary()) && sweeps++ < 1) {
        ::unlink(commit.temporary().c_str());
      }
      return 0;
    });
    file = std::make_unique<PosixFile>(commit.create());
  }
  file->write(bytes_of("new"), 0);
  EXPECT_NO_THROW(commit.publish());
  EXPECT_EQ(text_in(kName), "new");
}

TEST_F(CommitTest, I4AFileSweptAsOftenAsItIsMadeIsAnError) {
  Commit commit = commit_of(kName);
  const CallWatch watch([&](Call call) {
    if (call == Call::lock) ::unlink(commit.temporary().c_str());
    return 0;
  });
  expect_error(ErrorCode::io, {".tmp-", "removed by somebody"}, [&] { commit.create(); });
}

TEST_F(CommitTest, I4ARemainThatNobodyHoldsGivesItsNameToTheNextAttempt) {
  const fs::path remains = commit_of(kName).temporary();  // of a job with the same process id
  put(remains.filename().string(), "half of a dead job");
  EXPECT_NO_THROW(save(kName, "new"));
  EXPECT_THAT(names(), ElementsAre(kName));
  EXPECT_EQ(text_in(kName), "new");
}

// ---- I5: a deletion begins with a durable rename to a name that no reader looks at

TEST_F(CommitTest, I5WhatWasReplacedIsRenamedAndSyncedBeforeItIsDeleted) {
  put(kName, "old");
  Commit commit = commit_of(kName);
  commit.create().write(bytes_of("new"), 0);
  commit.publish();
  EXPECT_EQ(text_in(kAside), "old");
  std::vector<std::pair<Call, Names>> seen;
  {
    const CallWatch watch([&](Call call) {
      if (call == Call::remove && exists(kAside)) return 0;  // looks for older trash of its own
      seen.emplace_back(call, checkpoints());
      return 0;
    });
    commit.discard_replaced();
  }
  ASSERT_GE(seen.size(), 3U);
  EXPECT_EQ(seen[0].first, Call::rename);
  EXPECT_THAT(seen[0].second, ElementsAre(kName, kAside));
  EXPECT_EQ(seen[1].first, Call::sync);
  EXPECT_THAT(seen[1].second, ElementsAre(kName));
  EXPECT_EQ(seen[2].first, Call::remove);
  EXPECT_THAT(names(), ElementsAre(kName));
}

TEST_F(CommitTest, I5ADeletionThatFailsIsNoErrorAndTheNextSaveDoesIt) {
  put(kName, "old");
  Commit commit = commit_of(kName);
  commit.create().write(bytes_of("new"), 0);
  commit.publish();
  {
    const CallWatch watch([](Call call) { return call == Call::rename ? EACCES : 0; });
    commit.discard_replaced();
  }
  EXPECT_THAT(checkpoints(), ElementsAre(kName, kAside));
  save(kName, "newer");
  EXPECT_THAT(names(), ElementsAre(kName));
}

// ---- The kinds of one name are one checkpoint

TEST_F(CommitTest, OtherKindsOfTheNameStepAsideAndGo) {
  put("CKP-1_7.h5.enc", "sealed");
  fs::create_directory(at("CKP-1_7.shards"));
  put("CKP-1_7.shards/0", "shard");
  put("CKP-1_8.h5", "another step");
  put("CKP_1-1_7.h5", "another series");
  put("CKP-1_7_breakpoint.h5", "a breakpoint");
  Commit commit = commit_of(kName);
  commit.create().write(bytes_of("new"), 0);
  commit.publish();
  EXPECT_EQ(text_in("CKP-1_7.h5.enc.replaced"), "sealed");
  EXPECT_EQ(text_in("CKP-1_7.shards.replaced/0"), "shard");
  commit.discard_replaced();
  EXPECT_THAT(names(), ElementsAre(kName, "CKP-1_7_breakpoint.h5", "CKP-1_8.h5", "CKP_1-1_7.h5"));
}

TEST_F(CommitTest, OtherKindsComeBackWherePublishingFails) {
  put("CKP-1_7.h5.enc", "sealed");
  fs::create_directory(at("CKP-1_7.shards"));
  put("CKP-1_7.shards/0", "shard");
  {
    Commit commit = commit_of(kName);
    const PosixFile file = commit.create();
    const CallWatch watch([](Call call) { return call == Call::sync ? EIO : 0; });
    EXPECT_THROW(commit.publish(), Error);
  }
  EXPECT_THAT(names(), ElementsAre("CKP-1_7.h5.enc", "CKP-1_7.shards"));
  EXPECT_EQ(text_in("CKP-1_7.shards/0"), "shard");
}

TEST_F(CommitTest, ADirectoryThatACrashLeftAsideMakesRoom) {
  for (const char* name : {"CKP-1_7.shards", "CKP-1_7.shards.replaced"}) {
    fs::create_directory(at(name));
    put(std::string(name) + "/0", name);
  }
  Commit commit = commit_of(kName);
  commit.create().write(bytes_of("new"), 0);
  commit.publish();
  EXPECT_EQ(text_in("CKP-1_7.shards.replaced/0"), "CKP-1_7.shards");
  commit.discard_replaced();
  EXPECT_THAT(names(), ElementsAre(kName));
}

TEST_F(CommitTest, AFileOfAnyOtherNameIsReplacedToo) {
  put("model.h5", "old");
  save("model.h5", "new");
  EXPECT_EQ(text_in("model.h5"), "new");
  EXPECT_THAT(names(), ElementsAre("model.h5"));
}

// ---- What is not replaced

TEST_F(CommitTest, ADirectoryIsRefused) {
  for (const char* name : {"model.h5", kName, "CKP-2_7.h5.enc"}) {
    fs::create_directory(at(name));
    put(std::string(name) + "/precious", "text");
    expect_error(ErrorCode::invalid_argument, {name, "not replaced"}, [&] { refused(name); });
    EXPECT_EQ(text_in(std::string(name) + "/precious"), "text");
  }
}

TEST_F(CommitTest, ADirectoryUnderTheNameOfAnotherKindOfFileIsRefused) {
  fs::create_directory(at("CKP-1_7.h5.enc"));
  expect_error(ErrorCode::invalid_argument, {"CKP-1_7.h5.enc", "not replaced"},
               [&] { refused(kName); });
}

TEST_F(CommitTest, WhatIsNoFileIsRefused) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  fs::create_symlink(at("elsewhere"), at("link"));
  for (const char* name : {"pipe", "link"}) {
    expect_error(ErrorCode::invalid_argument, {name, "not a regular file"}, [&] { refused(name); });
    EXPECT_TRUE(exists(name));
  }
}

TEST_F(CommitTest, ANameThatNamesNoFileIsRefused) {
  for (const char* name : {"", ".", "..", "sub/"}) {
    expect_error(ErrorCode::invalid_argument, {"does not name a checkpoint file"},
                 [&] { refused(name); });
  }
}

TEST_F(CommitTest, ANameTooLongForWhatDerivesFromItIsRefusedBeforeAnythingIsWritten) {
  expect_error(ErrorCode::invalid_argument, {"too long", "255"},
               [&] { refused(std::string(240, 'n')); });
  // The longest that is taken can be replaced and deleted, too.
  std::size_t longest = 240;
  for (; longest > 0; --longest) {
    try {
      refused(std::string(longest, 'n'));
      break;
    } catch (const Error&) {
      continue;
    }
  }
  EXPECT_GT(longest, 100U);
  const std::string name(longest, 'n');
  EXPECT_NO_THROW(save(name, "old"));
  EXPECT_NO_THROW(save(name, "new"));
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(CommitTest, ADirectoryThatCannotBeMadeIsAnError) {
  put("file", "in the way");
  Commit commit = commit_of("file/CKP-1_7.h5");
  expect_error(ErrorCode::io, {"cannot make the directory", "file"}, [&] { commit.create(); });
}

}  // namespace
}  // namespace cairn::storage
