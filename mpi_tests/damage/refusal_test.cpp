// What is no damage must never lead to an older state: keys, modes, rights. And what is no file at
// all under a checkpoint's name: no restore waits for it.
#include <sys/stat.h>
#include <unistd.h>

#include "damage/victim.hpp"

namespace cairn::test {
namespace {

class Refusal : public Victim {
 protected:
  explicit Refusal(Protected how = {}) : Victim(how, std::uint64_t{1} << 18) {}

  /// An older plain one, and a newer one that is saved otherwise.
  void leave_plain_and(const Protected& how) {
    leave({kOlder}, settings_for({}));
    leave_as(how, kNewer);
  }
  /// Of the same series, with a sequence number behind the others: one run may change its settings
  /// between two starts, and its restore would refuse what is there.
  void leave_as(const Protected& how, std::uint64_t step) {
    const std::string older_name = "run-1_" + std::to_string(kOlder) + ".h5";
    CheckpointSettings quiet = settings_for(how);
    on_root([&] { fs::rename(path(older_name), path("aside")); });
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), quiet);
    model_.train_to(step);
    checkpoint.save(step - 1, model_.state());  // number 1
    checkpoint.save(step, model_.state());      // number 2
    on_root([&] {
      fs::rename(path("aside"), path(older_name));
      for (const auto& entry : fs::directory_iterator(directory())) {
        if (entry.path().filename().string().starts_with("run-1_" + std::to_string(step - 1))) {
          fs::remove_all(entry.path());
          break;
        }
      }
    });
  }
};

TEST_F(Refusal, AWrongKeyIsAnErrorThoughAnOlderPlainOneIsThere) {
  for (const Guard guard : {Guard::aes_gcm, Guard::aes_cbc, Guard::sm4_cbc}) {
    for (const bool shards : {false, true}) {
      on_root([&] {
        for (const auto& entry : fs::directory_iterator(directory())) fs::remove_all(entry.path());
      });
      leave_plain_and({guard, shards});
      CheckpointSettings with = settings_for({guard, shards});
      with.enc_key = key_of('x');
      expect_refusal(with, ErrorCode::wrong_key, {"enc_key is not the key", "run-1_7"});
      expect_refusal(settings_for({}), ErrorCode::wrong_key, {"there is no enc_key", "run-1_7"});
    }
  }
}

TEST_F(Refusal, AnotherModeIsAMismatch) {
  leave_plain_and({Guard::aes_gcm, false});
  expect_refusal(settings_for({Guard::aes_cbc, false}), ErrorCode::mismatch,
                 {"is encrypted with AES-GCM, but enc_mode is AES-CBC", "run-1_7.h5.enc"});
}

TEST_F(Refusal, APlainFileThoughThereIsAKeyIsAMismatch) {
  for (const bool shards : {false, true}) {
    on_root([&] {
      for (const auto& entry : fs::directory_iterator(directory())) fs::remove_all(entry.path());
    });
    leave_plain_and({Guard::plain, shards});
    expect_refusal(settings_for({Guard::aes_gcm, shards}), ErrorCode::mismatch,
                   {"is not encrypted, but there is an enc_key", "run-1_7"});
  }
}

TEST_F(Refusal, CrcsThatAreAskedForAndMissingAreAMismatch) {
  for (const bool shards : {false, true}) {
    on_root([&] {
      for (const auto& entry : fs::directory_iterator(directory())) fs::remove_all(entry.path());
    });
    leave({kOlder}, settings_for({Guard::crc, false}));
    leave_as({Guard::plain, shards}, kNewer);
    expect_refusal(settings_for({Guard::crc, shards}), ErrorCode::mismatch,
                   {"holds no CRCs", "run-1_7"});
  }
}

TEST_F(Refusal, ADamagedNewerOneDoesNotHideThatTheKeyIsWrong) {
  how_ = {Guard::aes_gcm, false};
  leave_two();
  on_root([&] { flip_bit(newer(), 5000, 3); });
  CheckpointSettings with = settings();
  with.enc_key = key_of('x');
  expect_refusal(with, ErrorCode::wrong_key, {"run-1_7.h5.enc"});
  on_root([&] { flip_bit(newer(), 200, 3); });  // now its header: it is damage, whatever the key
  expect_refusal(with, ErrorCode::wrong_key, {"run-1_3.h5.enc"});
}

TEST_F(Refusal, AFileThatMayNotBeReadIsAnError) {
  leave_two();
  on_root([&] {
    EXPECT_EQ(::chmod(directory().c_str(), 0777), 0);
    EXPECT_EQ(::chmod(newer().c_str(), 0), 0);
  });
  const uid_t before = ::geteuid();
  constexpr uid_t kNobody = 65534;
  const bool dropped = before != 0 || ::seteuid(kNobody) == 0;  // root may read everything
  const Outcome outcome = dropped ? restore() : Outcome{};
  EXPECT_EQ(::seteuid(before), 0);
  if (!dropped) GTEST_SKIP() << "root cannot become nobody here: NOT TESTED";
  EXPECT_EQ(outcome.code, ErrorCode::io) << outcome.text();
  EXPECT_NE(outcome.error.find("run-1_7.h5: Permission denied"), std::string::npos)
      << outcome.error;
}

class NoFile : public Refusal {
 protected:
  NoFile() { leave_two(); }

  void expect_passed_over(const std::string& words) {
    expect_fallback({words});
    expect_error([&] { load(MPI_COMM_WORLD, newer(), model_.state()); }, ErrorCode::damaged,
                 {words});
  }
};

TEST_F(NoFile, APipeIsPassedOverWithoutWaiting) {
  on_root([&] {
    fs::remove(newer());
    EXPECT_EQ(::mkfifo(newer().c_str(), 0666), 0);
  });
  expect_passed_over("is not a file");
}

TEST_F(NoFile, ADirectoryIsPassedOver) {
  on_root([&] {
    fs::remove(newer());
    fs::create_directory(newer());
  });
  expect_fallback({"is not a file"});
}

TEST_F(NoFile, ADanglingLinkIsPassedOver) {
  on_root([&] {
    fs::remove(newer());
    fs::create_symlink(path("nowhere"), newer());
  });
  expect_fallback({"run-1_7.h5"});
}

TEST_F(NoFile, ALinkToItselfIsAnError) {
  on_root([&] {
    fs::remove(newer());
    fs::create_symlink(newer(), newer());
  });
  expect_refusal(settings(), ErrorCode::io, {"run-1_7.h5", "symbolic links"});
}

class NoShard : public Refusal {
 protected:
  NoShard() : Refusal({Guard::crc, true}) { leave_two(); }
};

TEST_F(NoShard, PipesInTheDirectoryAreDamage) {
  for (const std::string& name : {index_name(), shard_name(ranks() - 1)}) {
    on_root([&] {
      fs::rename(newer() / name, path("aside"));
      EXPECT_EQ(::mkfifo((newer() / name).c_str(), 0666), 0);
    });
    expect_fallback({name, "is not a file"}, name);
    on_root([&] { fs::rename(path("aside"), newer() / name); });
  }
  expect_newer_is_good();
}

TEST_F(NoShard, AFileInsteadOfTheDirectoryIsDamage) {
  on_root([&] {
    fs::copy_file(newer() / shard_name(0), path("aside"));
    fs::remove_all(newer());
    fs::rename(path("aside"), newer());
  });
  expect_fallback({"run-1_7.shards"});
}

TEST_F(NoShard, AnEmptyDirectoryIsDamage) {
  on_root([&] {
    fs::remove_all(newer());
    fs::create_directory(newer());
  });
  expect_fallback({"run-1_7.shards", "index.h5"});
}

}  // namespace
}  // namespace cairn::test
