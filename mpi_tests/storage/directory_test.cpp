#include "storage/directory.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "storage/child_process.hpp"
#include "storage/expect_error.hpp"
#include "storage/process_identity.hpp"
#include "storage/sample_directory.hpp"
#include "storage/series_lock.hpp"
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
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr milliseconds kNoPatience{0};
/// Longer than any test takes: who comes back earlier did not wait for it to pass.
constexpr milliseconds kEndlessPatience{60'000};

/// The name of a file that a job on `host` is writing.
std::string temporary_on(const std::string& host, const std::string& job = "") {
  policy::TemporaryName name = sample_identity();
  name.host = host;
  name.pid = 99;
  name.job = job;
  name.final_name = "CKP-1_7.h5";
  return policy::format(name);
}

std::string trash_on(const std::string& host) {
  policy::TemporaryName name = sample_identity();
  name.host = host;
  name.trash = true;
  name.final_name = "CKP-1_7.h5";
  return policy::format(name);
}

class DirectoryTest : public cairn::testing::DirectoryTest {
 protected:
  void make_old(const std::string& name, hours age) const {
    fs::last_write_time(at(name), fs::file_time_type::clock::now() - age);
  }

  /// What a sweep by a job on host "here" removes.
  Names swept(milliseconds patience = kNoPatience, const std::string& job = "") const {
    SweepRules rules{sample_identity(), hours(24), patience};
    rules.identity.job = job;
    Names all;
    for (const fs::path& path : sweep(at(""), rules)) all.push_back(path.filename().string());
    return all;
  }
};

using EnsureDirectoryTest = DirectoryTest;
using ListCheckpointsTest = DirectoryTest;
using ReadIdentityTest = DirectoryTest;
using RemoveCheckpointTest = DirectoryTest;
using SweepTest = DirectoryTest;

// ---- ensure_directory

TEST_F(EnsureDirectoryTest, MakesWhatIsMissingEachDurableInItsParent) {
  EXPECT_THAT(calls_of([&] { ensure_directory(at("a/b/c")); }),
              ElementsAre(Call::make_directory, Call::sync, Call::make_directory, Call::sync,
                          Call::make_directory, Call::sync));
  EXPECT_TRUE(fs::is_directory(at("a/b/c")));
  EXPECT_THAT(calls_of([&] { ensure_directory(at("a/b/c")); }), IsEmpty());
}

TEST_F(EnsureDirectoryTest, TakesRelativePathsAndSlashesAtTheEnd) {
  const fs::path before = fs::current_path();
  fs::current_path(at(""));
  EXPECT_NO_THROW(ensure_directory(""));
  EXPECT_NO_THROW(ensure_directory("."));
  EXPECT_NO_THROW(ensure_directory("relative/inner/"));
  fs::current_path(before);
  EXPECT_TRUE(fs::is_directory(at("relative/inner")));
}

TEST_F(EnsureDirectoryTest, AFileInTheWayIsAnError) {
  put("file", "text");
  expect_error(ErrorCode::io, {"cannot make the directory", "/file"},
               [&] { ensure_directory(at("file")); });
  expect_error(ErrorCode::io, {"cannot make the directory", "/file"},
               [&] { ensure_directory(at("file/inner")); });
}

TEST_F(EnsureDirectoryTest, TwoThatMakeTheSameBothHaveIt) {
  // Another job makes it between the look and the call.
  const CallWatch watch([&](Call call) {
    if (call == Call::make_directory) fs::create_directory(at("shared"));
    return 0;
  });
  EXPECT_NO_THROW(ensure_directory(at("shared")));
}

// ---- list_checkpoints

TEST_F(ListCheckpointsTest, FindsByNameAloneInTheOrderOfNames) {
  for (const char* name :
       {"CKP-1_7.h5", "CKP-1_7.h5.replaced", "CKP-1_8.h5.enc", "CKP-1_9_breakpoint.h5",
        "other-2_1.h5", "CKP-01_7.h5", "CKP.h5", "notes.txt", ".lock-CKP", ".cairn-catalog"}) {
    put(name, "not even an image");
  }
  put(temporary_on("here"), "half");
  put(trash_on("here"), "gone");
  fs::create_directory(at("CKP-1_9.shards"));
  std::vector<std::string> found;
  for (const Found& one : list_checkpoints(at(""))) {
    EXPECT_EQ(policy::format(one.name), one.path.filename());
    EXPECT_FALSE(one.identity || one.problem);
    found.push_back(one.path.filename().string());
  }
  EXPECT_THAT(found, ElementsAre("CKP-1_7.h5", "CKP-1_7.h5.replaced", "CKP-1_8.h5.enc",
                                 "CKP-1_9.shards", "CKP-1_9_breakpoint.h5", "other-2_1.h5"));
}

TEST_F(ListCheckpointsTest, ADirectoryThatIsNotThereHoldsNone) {
  EXPECT_THAT(list_checkpoints(at("nowhere")), IsEmpty());
}

TEST_F(ListCheckpointsTest, AFileInPlaceOfTheDirectoryIsAnError) {
  put("file", "text");
  expect_error(ErrorCode::io, {"cannot list the directory", "/file"},
               [&] { list_checkpoints(at("file")); });
}

// ---- read_identity

Found found_at(const fs::path& path) {
  return {path, *policy::parse_checkpoint_name(path.filename().string()), {}, {}};
}

TEST_F(ReadIdentityTest, ACheckpointThatIsWhatItsNameSaysHasARecord) {
  for (const char* name : {"CKP-3_7.h5", "CKP_2-1_9.h5.replaced", "CKP-1_5_breakpoint.h5"}) {
    put_checkpoint(name, 12);
    Found found = found_at(at(name));
    read_identity(found);
    ASSERT_TRUE(found.identity) << name;
    EXPECT_EQ(found.identity->sequence, 12U);
    EXPECT_FALSE(found.problem);
  }
}

TEST_F(ReadIdentityTest, ARecordThatDoesNotFitTheNameIsDamage) {
  const Record right = record_for("CKP-3_7.h5", 1);
  std::vector<std::pair<Record, const char*>> wrong(4, {right, ""});
  wrong[0].first.series = "CKP_1";
  wrong[0].second = "CKP_1-3_7.h5";
  wrong[1].first.epoch = 4;
  wrong[1].second = "CKP-4_7.h5";
  wrong[2].first.step_in_epoch = 8;
  wrong[2].second = "CKP-3_8.h5";
  wrong[3].first.kind = CheckpointKind::breakpoint;
  wrong[3].second = "CKP-3_7_breakpoint.h5";
  for (const auto& [record, told] : wrong) {
    fs::remove(at("CKP-3_7.h5"));
    put_image("CKP-3_7.h5", record);
    Found found = found_at(at("CKP-3_7.h5"));
    read_identity(found);
    EXPECT_FALSE(found.identity);
    ASSERT_TRUE(found.problem);
    EXPECT_EQ(found.problem->code(), ErrorCode::damaged);
    EXPECT_THAT(found.problem->what(), ::testing::HasSubstr(told));
  }
}

TEST_F(ReadIdentityTest, ACheckpointSavedOutsideOfASeriesAndRenamedIntoOneIsDamage) {
  Record record = record_for("CKP-1_7.h5", 1);
  record.series = "";
  put_image("CKP-1_7.h5", record);
  Found found = found_at(at("CKP-1_7.h5"));
  read_identity(found);
  ASSERT_TRUE(found.problem);
  EXPECT_EQ(found.problem->code(), ErrorCode::damaged);
}

TEST_F(ReadIdentityTest, WhatIsNoCheckpointHasAProblemAndThrowsNothing) {
  put("CKP-1_1.h5", "");
  put("CKP-1_2.h5", "short");
  put_damaged("CKP-1_3.h5");
  fs::create_directory(at("CKP-1_4.h5"));
  fs::create_symlink(at("nowhere"), at("CKP-1_5.h5"));
  const std::vector<ErrorCode> expected{ErrorCode::damaged, ErrorCode::damaged, ErrorCode::damaged,
                                        ErrorCode::damaged, ErrorCode::not_found};
  std::vector<ErrorCode> codes;
  for (Found& found : list_checkpoints(at(""))) {
    EXPECT_NO_THROW(read_identity(found));
    EXPECT_FALSE(found.identity);
    ASSERT_TRUE(found.problem);
    codes.push_back(found.problem->code());
  }
  EXPECT_EQ(codes, expected);
}

// ---- remove_checkpoint

TEST_F(RemoveCheckpointTest, RenamesSyncsAndDeletesInThisOrder) {
  put("CKP-1_7.h5", "text");
  auto calls = calls_of([&] { remove_checkpoint(at("CKP-1_7.h5"), sample_identity()); });
  EXPECT_THAT(names(), IsEmpty());
  const auto begin = std::ranges::find(calls, Call::rename);
  calls.erase(calls.begin(), begin);
  ASSERT_GE(calls.size(), 3U);
  EXPECT_EQ(calls[1], Call::sync);
  EXPECT_EQ(calls[2], Call::remove);
}

TEST_F(RemoveCheckpointTest, WithATrashTheNameGoesAtOnceAndTheFileUntilItIsWaitedFor) {
  put("CKP-1_7.h5", "text");
  put("CKP-1_8.h5", "text");
  fs::create_directory(at("CKP-1_9.shards"));
  put("CKP-1_9.shards/0", "text");
  Trash trash;
  for (const char* name : {"CKP-1_7.h5", "CKP-1_8.h5", "CKP-1_9.shards"}) {
    remove_checkpoint(at(name), sample_identity(), &trash);
    EXPECT_FALSE(fs::exists(at(name)));
  }
  trash.wait();
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(RemoveCheckpointTest, ATrashThatGoesHasDeletedAll) {
  put("CKP-1_7.h5", "text");
  {
    Trash trash;
    remove_checkpoint(at("CKP-1_7.h5"), sample_identity(), &trash);
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(RemoveCheckpointTest, WhatIsMissingIsNotFound) {
  expect_error(ErrorCode::not_found, {"CKP-1_7.h5"},
               [&] { remove_checkpoint(at("CKP-1_7.h5"), sample_identity()); });
}

TEST_F(RemoveCheckpointTest, EarlierTrashOfTheSameNameIsNotInTheWay) {
  fs::create_directory(at(trash_on("here")));
  put(trash_on("here") + "/0", "older");
  put("CKP-1_7.h5", "text");
  remove_checkpoint(at("CKP-1_7.h5"), sample_identity());
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(RemoveCheckpointTest, WhereverTheProcessDiesTheRestIsWholeOrTrash) {
  int deaths = 0;
  for (int ended = 1; ended != 0; ++deaths) {
    SCOPED_TRACE("died before call " + std::to_string(deaths));
    put("CKP-1_7.h5", "text");
    ChildProcess child([&](const ChildProcess::Hold&) {
      const CallWatch watch([left = deaths](Call) mutable {
        if (left-- == 0) _exit(1);
        return 0;
      });
      remove_checkpoint(at("CKP-1_7.h5"), sample_identity());
    });
    ended = child.wait();
    const auto left = list_checkpoints(at(""));
    EXPECT_EQ(text_in("CKP-1_7.h5"), left.empty() ? "-" : "text");
    fs::remove(at("CKP-1_7.h5"));
    swept();
    EXPECT_THAT(names(), IsEmpty());
    ASSERT_LT(deaths, 100);
  }
  EXPECT_GE(deaths, 3);
}

// ---- sweep: this host

TEST_F(SweepTest, ATemporaryFileThatNobodyHoldsGoes) {
  put(temporary_on("here"), "half");
  EXPECT_THAT(swept(), ElementsAre(temporary_on("here")));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(SweepTest, AHeldOneStaysAfterThePatience) {
  ChildProcess writer([&](const ChildProcess::Hold& hold) {
    const PosixFile file = PosixFile::create(at(temporary_on("here")));
    EXPECT_TRUE(file.try_lock_shared());
    hold();
  });
  ASSERT_TRUE(writer.holding());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(swept(milliseconds(100)), IsEmpty());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(100));
  EXPECT_THAT(names(), ElementsAre(temporary_on("here")));
  writer.kill();
  EXPECT_THAT(swept(), ElementsAre(temporary_on("here")));
}

TEST_F(SweepTest, OneHolderOfSeveralIsEnough) {
  const auto hold_it = [&](const ChildProcess::Hold& hold) {
    const PosixFile file = PosixFile::open_for_writing(at(temporary_on("here")));
    EXPECT_TRUE(file.try_lock_shared());
    hold();
  };
  put(temporary_on("here"), "half");
  ChildProcess one(hold_it);
  ChildProcess two(hold_it);
  one.kill();
  EXPECT_THAT(swept(), IsEmpty());
  two.kill();
  EXPECT_THAT(swept(), ElementsAre(temporary_on("here")));
}

TEST_F(SweepTest, AHeldOneWhoseHolderDiesDuringThePatienceGoes) {
  // The writer dies when the file was opened a second time: the first look found it held.
  ChildProcess writer([&](const ChildProcess::Hold& hold) {
    const PosixFile file = PosixFile::create(at(temporary_on("here")));
    EXPECT_TRUE(file.try_lock_shared());
    const int events = ::inotify_init1(IN_CLOEXEC);
    if (::inotify_add_watch(events, file.path().c_str(), IN_OPEN) < 0) _exit(5);
    hold();
    std::array<char, 4096> event;
    for (int opened = 0; opened < 2; ++opened) {
      if (::read(events, event.data(), sizeof(inotify_event)) <= 0) _exit(6);
    }
    _exit(0);
  });
  ASSERT_TRUE(writer.holding());
  writer.go_on();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_THAT(swept(kEndlessPatience), ElementsAre(temporary_on("here")));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kEndlessPatience);
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_EQ(writer.wait(), 0);
}

TEST_F(SweepTest, WhatNobodyHoldsGoesAtOnceThoughAnotherIsHeld) {
  const std::string other = temporary_on("here", "4711");
  put(temporary_on("here"), "half");
  ChildProcess writer([&](const ChildProcess::Hold& hold) {
    const PosixFile file = PosixFile::create(at(other));
    EXPECT_TRUE(file.try_lock_shared());
    hold();
  });
  EXPECT_THAT(swept(milliseconds(50)), ElementsAre(temporary_on("here")));
  EXPECT_THAT(names(), ElementsAre(other));
}

TEST_F(SweepTest, AFileThatIsMadeAnewWhileTheOldOneIsJudgedStays) {
  // The name goes to a new file of a living job between the opening and the lock.
  const std::string name = temporary_on("here");
  put(name, "half");
  std::optional<PosixFile> anew;
  {
    const CallWatch watch([&](Call call) {
      if (call == Call::lock && !anew) {
        ::unlink(at(name).c_str());
        anew.emplace(PosixFile::create(at(name)));
        EXPECT_TRUE(anew->try_lock_shared());
      }
      return 0;
    });
    swept();
  }
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(SweepTest, ADirectoryThatIsNotThereIsSwept) {
  EXPECT_THAT(sweep(at("nowhere"), {sample_identity(), hours(1), kNoPatience}), IsEmpty());
}

// ---- sweep: other hosts

TEST_F(SweepTest, ANewOneOfAnotherHostStays) {
  put(temporary_on("there"), "half");
  put(temporary_on("there", "4711"), "half");
  EXPECT_THAT(swept(), IsEmpty());
  EXPECT_EQ(names().size(), 2U);
}

TEST_F(SweepTest, AStaleOneOfAnotherHostGoes) {
  put(temporary_on("there"), "half");
  make_old(temporary_on("there"), hours(25));
  put(temporary_on("elsewhere"), "half");
  make_old(temporary_on("elsewhere"), hours(23));
  EXPECT_THAT(swept(), ElementsAre(temporary_on("there")));
}

TEST_F(SweepTest, OneOfAnotherHostInTheSameBatchJobGoes) {
  put(temporary_on("there", "4711"), "half");
  put(temporary_on("there", "4712"), "half");
  put(temporary_on("there"), "half");
  EXPECT_THAT(swept(kNoPatience, "4711"), ElementsAre(temporary_on("there", "4711")));
}

TEST_F(SweepTest, OneOfAnotherStepOfTheJobOnAnotherHostStaysUntilItIsStale) {
  put(temporary_on("there", "4711.0"), "half");
  put(temporary_on("there", "4711.1"), "half");
  put(temporary_on("there", "4711"), "half");
  EXPECT_THAT(swept(kNoPatience, "4711.1"), ElementsAre(temporary_on("there", "4711.1")));
  make_old(temporary_on("there", "4711.0"), hours(25));
  EXPECT_THAT(swept(kNoPatience, "4711.1"), ElementsAre(temporary_on("there", "4711.0")));
}

TEST_F(SweepTest, OutsideOfBatchJobsNoTwoAreOfTheSameJob) {
  put(temporary_on("there", ""), "half");
  EXPECT_THAT(swept(kNoPatience, ""), IsEmpty());
}

// ---- sweep: trash, locks, the rest

TEST_F(SweepTest, TrashGoesWhosesoeverItIs) {
  put(trash_on("here"), "gone");
  fs::create_directory(at(trash_on("there")));
  put(trash_on("there") + "/0", "gone");
  EXPECT_THAT(swept(), ElementsAre(trash_on("here"), trash_on("there")));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(SweepTest, ALockThatNobodyHoldsGoesAndAHeldOneStays) {
  put(".lock-CKP", "host here, process 1");
  ChildProcess holder([&](const ChildProcess::Hold& hold) {
    const SeriesLock lock(at(""), "CKP_1", sample_identity(), kNoPatience);
    hold();
  });
  ASSERT_TRUE(holder.holding());
  EXPECT_THAT(swept(), ElementsAre(".lock-CKP"));
  EXPECT_THAT(names(), ElementsAre(".lock-CKP_1"));
  holder.kill();
  EXPECT_THAT(swept(), ElementsAre(".lock-CKP_1"));
}

TEST_F(SweepTest, ForeignFilesAndCheckpointsStayHoweverOld) {
  const std::string temporary = temporary_on("here");
  const Names foreign{"CKP-1_7.h5",
                      "CKP-1_7.h5.replaced",
                      "CKP-1_7_breakpoint.h5",
                      ".cairn-catalog",
                      ".tmp-",
                      ".tmp-notes",
                      ".tmp-0123456789abcdef-here-12-0-",
                      ".tmp-0123456789ABCDEF-here-12-0-CKP-1_7.h5",
                      ".tmp-0123456789abcdef-here-012-0-CKP-1_7.h5",
                      ".trash-",
                      ".trash-can",
                      ".lock-",
                      ".lock-.hidden",
                      temporary.substr(1),
                      "notes.txt"};
  for (const std::string& name : foreign) {
    put(name, "precious");
    make_old(name, hours(24 * 365));
  }
  EXPECT_THAT(swept(), IsEmpty());
  for (const std::string& name : foreign) EXPECT_EQ(text_in(name), "precious") << name;
}

TEST_F(SweepTest, WhatCannotBeRemovedIsLeftAndHindersNothing) {
  put(trash_on("here"), "gone");
  put(trash_on("there"), "gone");
  {
    const CallWatch watch([first = true](Call call) mutable {
      return call == Call::remove && std::exchange(first, false) ? EACCES : 0;
    });
    Names removed;
    EXPECT_NO_THROW(removed = swept());
    EXPECT_THAT(removed, ElementsAre(trash_on("there")));
  }
  EXPECT_THAT(names(), ElementsAre(trash_on("here")));
}

TEST_F(SweepTest, TwoJobsThatSweepAtTheSameTimeBothGoOn) {
  for (int i = 0; i < 50; ++i) {
    policy::TemporaryName name = sample_identity();
    name.pid = 100 + i;
    name.trash = true;
    name.final_name = "CKP-1_7.shards";
    fs::create_directory(at(policy::format(name)));
    for (const char* shard : {"0", "1", "2", "3"}) put(policy::format(name) + "/" + shard, "x");
    name.trash = false;
    name.final_name = "CKP-1_7.h5";
    put(policy::format(name), "half");
  }
  ChildProcess other([&](const ChildProcess::Hold& hold) {
    hold();
    swept();
  });
  other.go_on();
  EXPECT_NO_THROW(swept());
  EXPECT_EQ(other.wait(), 0);
  EXPECT_THAT(names(), IsEmpty());
}

// ---- process_identity

TEST(ProcessIdentity, MakesANameThatIsReadBack) {
  RunId run{};
  run[0] = std::byte{0xAB};
  policy::TemporaryName identity = process_identity(run);
  EXPECT_EQ(identity.run, "ab00000000000000");
  EXPECT_EQ(identity.pid, static_cast<std::uint64_t>(::getpid()));
  identity.final_name = "CKP-1_7.h5";
  const auto parsed = policy::parse_temporary_name(policy::format(identity));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->host, policy::sanitised(identity.host));
  EXPECT_EQ(parsed->final_name, "CKP-1_7.h5");
}

TEST(ProcessIdentity, TheBatchJobIsThatOfTheFirstSystemThatNamesOne) {
  for (const char* variable : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    ::unsetenv(variable);
  }
  EXPECT_EQ(process_identity({}).job, "");
  ::setenv("PBS_JOBID", "12.server", 1);
  EXPECT_EQ(process_identity({}).job, "12.server");
  ::setenv("SLURM_JOB_ID", "", 1);
  EXPECT_EQ(process_identity({}).job, "12.server");
  ::setenv("SLURM_JOB_ID", "4711", 1);
  EXPECT_EQ(process_identity({}).job, "4711");
  ::unsetenv("SLURM_JOB_ID");
  ::unsetenv("PBS_JOBID");
}

TEST(ProcessIdentity, StepsAndArrayElementsOfOneJobAreToldApart) {
  const auto job_with = [](const char* job, const char* part, const char* value) {
    ::setenv(job, "4711", 1);
    ::setenv(part, value, 1);
    const std::string name = process_identity({}).job;
    ::unsetenv(job);
    ::unsetenv(part);
    return name;
  };
  EXPECT_EQ(job_with("SLURM_JOB_ID", "SLURM_STEP_ID", "3"), "4711.3");
  EXPECT_EQ(job_with("LSB_JOBID", "LSB_JOBINDEX", "2"), "4711.2");
  EXPECT_EQ(job_with("JOB_ID", "SGE_TASK_ID", "undefined"), "4711.undefined");
  EXPECT_EQ(job_with("PBS_JOBID", "SLURM_STEP_ID", "3"), "4711");
}

}  // namespace
}  // namespace cairn::storage
