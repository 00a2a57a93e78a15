// The newest checkpoint is shorter or longer than it was written, or a file of it is gone.
//
// CAIRN_CUTS: how many random bytes the file is cut at; from 100 on, also every 4 KiB of it.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "damage/victim.hpp"

namespace cairn::test {
namespace {

/// Small enough that each case of thousands is quick.
constexpr std::uint64_t kLargeBytes = 300'000;

std::uint64_t cuts() {
  const char* text = std::getenv("CAIRN_CUTS");
  return text == nullptr ? 2 : std::strtoull(text, nullptr, 10);
}

bool is_full() {
  return cuts() >= 100;
}

std::vector<Protected> protections() {
  return is_full() ? every_protection() : main_protections();
}

class Cut : public Victim, public ::testing::WithParamInterface<Protected> {
 protected:
  Cut() : Victim(GetParam(), kLargeBytes) { leave_two(); }

  [[nodiscard]] std::vector<fs::path> all_files() const {
    if (!how_.shards) return {newer()};
    std::vector<fs::path> all{newer() / index_name()};
    for (int r = 0; r < ranks(); ++r) all.push_back(newer() / shard_name(r));
    return all;
  }
  /// In the short tier one shard stands for all.
  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> all = all_files();
    if (!is_full() && all.size() > 2) all.erase(all.begin() + 1, all.end() - 1);
    return all;
  }
  /// The same on every rank.
  static std::vector<std::uint64_t> lengths_to_cut_at(std::uint64_t bytes) {
    std::vector<std::uint64_t> lengths{0, 1, 4095, 4096, bytes - 4096, bytes - 16, bytes - 1};
    const std::uint64_t step = is_full() ? 4096 : bytes / 3 / 4096 * 4096;
    for (std::uint64_t at = step; at < bytes; at += step) lengths.push_back(at);
    std::mt19937_64 random(bytes);
    for (std::uint64_t i = 0; i < cuts(); ++i) lengths.push_back(random() % bytes);
    return lengths;
  }
  static std::uint64_t shared_size(const fs::path& file) {
    return std::stoull(share(std::to_string(rank() == 0 ? fs::file_size(file) : 0)));
  }
  static void repair(const fs::path& file, const RawBytes& whole) {
    on_root([&] { write_all(file, whole); });
  }
};

TEST_P(Cut, AnywhereLeadsToTheOlderCheckpoint) {
  std::uint64_t cases = 0;
  double longest = 0;
  for (const fs::path& file : files()) {
    RawBytes whole;
    on_root([&] { whole = read_all(file); });
    for (const std::uint64_t length : lengths_to_cut_at(shared_size(file))) {
      on_root([&] { fs::resize_file(file, length); });
      const Outcome outcome = restore();
      repair(file, whole);
      longest = std::max(longest, outcome.seconds);
      ++cases;
      EXPECT_TRUE(outcome.fell_back(kOlder, newer())) << length << ": " << outcome.text();
      EXPECT_NE(outcome.reason().find(file.filename().string()), std::string::npos)
          << outcome.reason();
      if (!on_all_ranks(!HasFailure())) return;
    }
  }
  if (rank() == 0) {
    std::printf("%-15s %llu cuts, the slowest restore took %.0f ms\n", to_string(how_).c_str(),
                static_cast<unsigned long long>(cases), 1e3 * longest);
  }
  expect_newer_is_good();
}

TEST_P(Cut, AnExtendedFileLeadsToTheOlderCheckpoint) {
  for (const fs::path& file : files()) {
    RawBytes whole;
    on_root([&] { whole = read_all(file); });
    for (const std::uint64_t more : {1U, 512U, 4096U}) {
      on_root([&] { fs::resize_file(file, whole.size() + more); });
      expect_fallback({file.filename().string()}, std::to_string(more) + " zeros behind");
      on_root([&] {
        RawBytes longer = whole;
        longer.insert(longer.end(), whole.end() - more, whole.end());
        write_all(file, longer);
      });
      expect_fallback({file.filename().string()}, std::to_string(more) + " bytes repeated behind");
    }
    repair(file, whole);
  }
  expect_newer_is_good();
}

/// By its path: what was cut is damaged, never a file of another program.
TEST_P(Cut, AnExplicitLoadIsRefusedAsDamaged) {
  for (const std::uint64_t length : {1'000U, 70'000U, 200'000U}) {
    RawBytes whole;
    const fs::path file = values_file(newer());
    on_root([&] {
      whole = read_all(file);
      fs::resize_file(file, length);
    });
    LoadOptions options;
    options.enc_key = settings().enc_key;
    expect_error([&] { load(MPI_COMM_WORLD, newer(), model_.state(), options); },
                 ErrorCode::damaged, {file.filename().string(), "state unchanged"});
    repair(file, whole);
  }
}

TEST_P(Cut, WhatIsMissingBeforeTheEndIsToldFromWhatIsMissingAtIt) {
  const fs::path file = values_file(newer());
  RawBytes whole;
  on_root([&] {
    whole = read_all(file);
    const Places places = places_of(file);
    RawBytes shorter = whole;
    const auto first = shorter.begin() + static_cast<std::ptrdiff_t>(places.blocks_at) +
                       static_cast<std::ptrdiff_t>(places.block_bytes) * 2;
    shorter.erase(first, first + static_cast<std::ptrdiff_t>(places.block_bytes));
    write_all(file, shorter);
  });
  expect_fallback({"cut short or extended", is_sealed(how_.guard) ? "its table of tags is whole"
                                                                  : "bytes are missing before"});
  repair(file, whole);
  on_root([&] { fs::resize_file(file, whole.size() - 4096); });
  const Outcome outcome = restore();
  EXPECT_NE(outcome.reason().find("cut short or extended"), std::string::npos) << outcome.text();
  EXPECT_EQ(outcome.reason().find("its table of tags is whole"), std::string::npos);
  EXPECT_EQ(outcome.reason().find("bytes are missing before"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Protections, Cut, ::testing::ValuesIn(protections()),
                         [](const auto& one) { return to_string(one.param); });

class DeletedShard : public Cut {};

TEST_P(DeletedShard, OrIndexLeadsToTheOlderCheckpoint) {
  for (const fs::path& file : all_files()) {
    on_root([&] { fs::rename(file, path("aside")); });
    expect_fallback({file.filename().string(), "is missing"});
    on_root([&] { fs::rename(path("aside"), file); });
  }
  expect_newer_is_good();
}

INSTANTIATE_TEST_SUITE_P(Protections, DeletedShard,
                         ::testing::ValuesIn(only(protections(),
                                                  [](const Protected& how) { return how.shards; })),
                         [](const auto& one) { return to_string(one.param); });

}  // namespace
}  // namespace cairn::test
