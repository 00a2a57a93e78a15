// What is whole but is not the checkpoint that its name says: older files in the place of newer
// ones.
#include "damage/victim.hpp"

namespace cairn::test {
namespace {

class Mistaken : public Victim, public ::testing::WithParamInterface<Protected> {
 protected:
  Mistaken() : Victim(GetParam(), std::uint64_t{1} << 20) { leave_two(); }

  static void put(const fs::path& from, const fs::path& to) {
    fs::copy(from, to, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  }
  void copy_over(const fs::path& from, const fs::path& to) {
    on_root([&] { put(from, to); });
  }
  void copy_bytes(const fs::path& from, const fs::path& to, std::uint64_t offset_from_end,
                  std::uint64_t count) {
    on_root([&] {
      const RawFile source(from);
      const RawFile target(to);
      target.write(target.size() - offset_from_end,
                   source.read(source.size() - offset_from_end, count));
    });
  }
  [[nodiscard]] LoadOptions options() const {
    LoadOptions options;
    options.enc_key = settings().enc_key;
    options.crc_check = settings().crc_check;
    return options;
  }
};

class MistakenHeader : public Mistaken {};  // sealed
class MistakenRecord : public Mistaken {};  // not sealed
class MistakenShard : public Mistaken {};

TEST_P(Mistaken, TheOlderUnderTheNewersNameIsDamageForRestore) {
  copy_over(older(), newer());
  expect_fallback(
      {newer().filename().string(),
       "holds the checkpoint " + older().filename().string() + ", not the one it is named for"});
}

TEST_P(Mistaken, ARenamedOneIsDamageForRestoreAndOneWarningForLoad) {
  const fs::path renamed = path_of(9);
  on_root([&] { fs::rename(newer(), renamed); });
  const Outcome outcome = restore();
  EXPECT_TRUE(outcome.fell_back(kOlder, renamed)) << outcome.text();

  model_.train_to(0);
  const LoadReport report = load(MPI_COMM_WORLD, renamed, model_.state(), options());
  EXPECT_EQ(report.step, kNewer);
  EXPECT_EQ(model_.different_from(kNewer), std::vector<std::string>{});
  EXPECT_EQ(report.warnings.size(), 1U);
  for (const std::string& warning : report.warnings) {
    EXPECT_NE(warning.find(newer().filename().string()), std::string::npos) << warning;
    EXPECT_NE(warning.find(renamed.string()), std::string::npos) << warning;
  }
  on_root([&] { fs::rename(renamed, path("copy")); });  // no name of a checkpoint: nothing is odd
  EXPECT_EQ(load(MPI_COMM_WORLD, path("copy"), model_.state(), options()).warnings,
            std::vector<std::string>{});
}

TEST_P(Mistaken, TheReportSaysHowTheBlocksWereVerified) {
  const Verified expected = is_sealed(how_.guard)        ? Verified::seal
                            : how_.guard == Guard::plain ? Verified::structure
                                                         : Verified::crc;
  const Outcome outcome = restore();
  EXPECT_EQ(outcome.restored.verified, expected);
  EXPECT_EQ(outcome.restored.warnings, std::vector<std::string>{});
}

TEST_P(MistakenHeader, TheFirstPageOfTheOlderOverTheNewersIsFound) {
  const fs::path from = how_.shards ? older() / index_name() : older();
  const fs::path to = how_.shards ? newer() / index_name() : newer();
  on_root([&] { RawFile(to).write(0, RawFile(from).read(0, 4096)); });
  expect_fallback({"not the one it is named for"});
  // By its path the key opens the header, which is of another file than the tags.
  expect_error([&] { load(MPI_COMM_WORLD, newer(), model_.state(), options()); },
               ErrorCode::damaged, {"forged or belongs to another file", "state unchanged"});
}

TEST_P(MistakenRecord, TheRecordOfTheOlderOverTheNewersIsFound) {
  const fs::path from = how_.shards ? older() / shard_name(0) : older();
  const fs::path to = how_.shards ? newer() / shard_name(0) : newer();
  copy_bytes(from, to, 4096, 4096);
  expect_fallback({to.filename().string()});
  if (how_.guard == Guard::crc) {
    expect_error([&] { load(MPI_COMM_WORLD, newer(), model_.state(), options()); },
                 ErrorCode::damaged, {"the tail's CRC", "state unchanged"});
  }
}

TEST_P(Mistaken, BothDamagedIsAnErrorThatListsBoth) {
  for (const fs::path& one : {older(), newer()}) {
    on_root([&] {
      const fs::path file = values_file(one);
      fs::resize_file(file, fs::file_size(file) - 1);
    });
  }
  expect_refusal(
      settings(), ErrorCode::damaged,
      {"none of them is good", older().filename().string(), newer().filename().string()});
  CheckpointSettings quarantining = settings();
  quarantining.quarantine_damaged = true;
  expect_refusal(quarantining, ErrorCode::damaged, {"none of them is good"});
  on_root([&] {
    EXPECT_TRUE(fs::exists(older())) << "nothing is moved by a restore that threw";
    EXPECT_TRUE(fs::exists(newer()));
  });
}

TEST_P(MistakenShard, ShardsOfTheOlderInTheNewerAreFound) {
  for (int r = 0; r < ranks(); ++r) {
    RawBytes own;
    const fs::path file = newer() / shard_name(r);
    on_root([&] {
      own = read_all(file);
      put(older() / shard_name(r), file);
    });
    expect_fallback({shard_name(r), "the shard belongs to another checkpoint: step 3"});
    on_root([&] { write_all(file, own); });
  }
  expect_newer_is_good();
}

TEST_P(MistakenShard, ShardsThatChangedPlacesAreFound) {
  if (ranks() < 2) GTEST_SKIP() << "needs two shards";
  on_root([&] {
    fs::rename(newer() / shard_name(0), path("aside"));
    fs::rename(newer() / shard_name(1), newer() / shard_name(0));
    fs::rename(path("aside"), newer() / shard_name(1));
  });
  expect_fallback({"shard-"});
}

TEST_P(MistakenShard, TheIndexOfTheOlderInTheNewerIsFound) {
  copy_over(older() / index_name(), newer() / index_name());
  expect_fallback({"not the one it is named for"});
}

std::string name_of(const ::testing::TestParamInfo<Protected>& one) {
  return to_string(one.param);
}

INSTANTIATE_TEST_SUITE_P(Protections, Mistaken, ::testing::ValuesIn(main_protections()), name_of);
INSTANTIATE_TEST_SUITE_P(Protections, MistakenHeader,
                         ::testing::ValuesIn(only(every_protection(),
                                                  [](const Protected& how) {
                                                    return is_sealed(how.guard);
                                                  })),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Protections, MistakenRecord,
                         ::testing::ValuesIn(only(every_protection(),
                                                  [](const Protected& how) {
                                                    return !is_sealed(how.guard);
                                                  })),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Protections, MistakenShard,
                         ::testing::ValuesIn(only(main_protections(),
                                                  [](const Protected& how) { return how.shards; })),
                         name_of);

/// A shard that another save under another key or in another mode made is damage, not a refusal:
/// the index says what opens the checkpoint.
class StrangeShard : public Victim {
 protected:
  StrangeShard() : Victim({Guard::aes_gcm, true}, std::uint64_t{1} << 20) { leave_two(); }

  void expect_damage_by_shard_of(const CheckpointSettings& other) {
    ModelCheckpoint(MPI_COMM_WORLD, "other", directory(), other).save(kNewer, model_.state());
    on_root([&] {
      const fs::path strange = path("other-1_7.shards");
      for (const auto& entry : fs::directory_iterator(strange)) {
        if (!entry.path().filename().string().starts_with("shard-0of")) continue;
        fs::copy_file(entry.path(), newer() / shard_name(0), fs::copy_options::overwrite_existing);
      }
    });
    expect_fallback({shard_name(0), "protected in another way than the index"});
  }
};

TEST_F(StrangeShard, OfAnotherKeyIsDamage) {
  CheckpointSettings other = settings();
  other.enc_key = key_of('x');
  expect_damage_by_shard_of(other);
}

TEST_F(StrangeShard, OfAnotherModeIsDamage) {
  expect_damage_by_shard_of(settings_for({Guard::aes_cbc, true}));
}

TEST_F(StrangeShard, ThatIsPlainIsDamage) {
  expect_damage_by_shard_of(settings_for({Guard::plain, true}));
}

}  // namespace
}  // namespace cairn::test
