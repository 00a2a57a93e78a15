// One bit of the newest checkpoint flips, anywhere: the restart finds it and takes the older one.
//
// CAIRN_FLIPS: how many flips in each region. CAIRN_FLIP_SEED: the seed that a run printed.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "damage/victim.hpp"

namespace cairn::test {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::uint64_t flips() {
  return number_from("CAIRN_FLIPS", 4);
}
/// The sweep that counts is made on a state of the size that the format's blocks are for; of
/// shards, SM4 opens less, since it is slow.
std::uint64_t large_bytes(const Protected& how) {
  if (flips() < 100) return std::uint64_t{512} << 10;
  return std::uint64_t{how.guard == Guard::sm4_cbc && how.shards ? 2U : 8U} << 20;
}

struct Span {
  fs::path file;
  std::uint64_t offset;
  std::uint64_t bytes;
};

/// Parts of files in which a flip should have the same consequence.
struct Region {
  std::string name;
  std::vector<Span> spans;
  bool verified = true;  ///< something depends on each bit, and is checked
};

struct Tally {
  std::uint64_t detected = 0;
  std::vector<std::string> harmless;  ///< undetected, with right values
  std::uint64_t unnoticed = 0;        ///< wrong values, where nothing protects them
  double seconds = 0;
};

class FlipSweep : public Victim, public ::testing::WithParamInterface<Protected> {
 protected:
  FlipSweep() : Victim(GetParam(), large_bytes(GetParam())) {
    leave_two();
    if (rank() == 0) map_regions();
    count_ = std::stoul(share(std::to_string(regions_.size())));
    seed_ =
        std::stoull(share(std::to_string(number_from("CAIRN_FLIP_SEED", std::random_device{}()))));
    random_.seed(seed_);
  }

  void map_regions() {
    if (!how_.shards) {
      map_file(newer(), "");
      return;
    }
    map_file(newer() / index_name(), "index ");
    for (int r = 0; r < ranks(); ++r) map_file(newer() / shard_name(r), "shard ");
  }
  void map_file(const fs::path& file, const std::string& prefix) {
    const Places places = places_of(file);
    const std::uint64_t end = places.file_bytes;
    const std::uint64_t tail = places.tail_offset;
    if (places.sealed) {
      const std::uint64_t first = places.blocks_at;  // behind zeros that nobody reads
      const std::uint64_t second = first + places.block_bytes;
      const std::uint64_t last =
          first + (places.image_bytes - 1) / places.block_bytes * places.block_bytes;
      add(prefix + "header", {file, 0, 4096});
      add(prefix + "first block", {file, first, places.block_bytes});
      add(prefix + "body", {file, second, last - second});
      add(prefix + "last block", {file, last, tail - last});
      add(prefix + "tags and MAC", {file, tail, end - tail});
      return;
    }
    // The tables in an index's body have a checksum of their own; its gaps are zeros that nobody
    // reads.
    const bool body_verified = how_.guard == Guard::crc;
    add(prefix + "head", {file, 0, places.head_bytes});
    add(prefix + "body", {file, places.head_bytes, tail - places.head_bytes}, body_verified);
    add(prefix + "block table", {file, tail, end - 4096 - tail});
    add(prefix + "record", {file, end - 4096, 4096});
  }
  void add(const std::string& name, Span span, bool verified = true) {
    const auto at = std::ranges::find(regions_, name, &Region::name);
    if (at != regions_.end()) {
      at->spans.push_back(std::move(span));
    } else {
      regions_.push_back({name, {std::move(span)}, verified});
    }
  }

  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  /// Rank 0 flips; all restore; rank 0 judges.
  void sweep(const Region* region, Tally& tally) {
    for (std::uint64_t i = 0; i < flips() && !HasFailure(); ++i) {
      Span place{};
      unsigned bit = 0;
      on_root([&] {
        place = region->spans[below(region->spans.size())];
        place.offset += below(place.bytes);
        bit = static_cast<unsigned>(below(8));
        flip_bit(place.file, place.offset, bit);
      });
      const Outcome outcome = restore();
      on_root([&] {
        flip_bit(place.file, place.offset, bit);
        judge(*region, place, bit, outcome, tally);
      });
      tally.seconds += outcome.seconds;
      stop_together();
    }
  }
  void judge(const Region& region, const Span& place, unsigned bit, const Outcome& outcome,
             Tally& tally) {
    const std::string where = region.name + " of " + place.file.filename().string() + ", offset " +
                              std::to_string(place.offset) + ", bit " + std::to_string(bit);
    if (outcome.fell_back(kOlder, newer())) {
      ++tally.detected;
      EXPECT_NE(outcome.reason().find(place.file.filename().string()), std::string::npos)
          << where << ": the reason does not name the file: " << outcome.reason();
      return;
    }
    const bool took_newer = !outcome.code && !outcome.nothing && outcome.restored.path == newer() &&
                            outcome.restored.skipped.empty();
    EXPECT_TRUE(took_newer) << where << ": " << outcome.text();
    if (outcome.right_values) {
      tally.harmless.push_back(where);
    } else {
      ++tally.unnoticed;
      EXPECT_EQ(outcome.restored.verified, Verified::structure) << where;
    }
    EXPECT_FALSE(region.verified) << where << " was not detected: " << outcome.text();
    EXPECT_EQ(how_.guard, Guard::plain) << where << ": only plain values may go wrong";
  }
  /// A failure on one rank ends the sweep on all.
  static void stop_together() {
    if (!on_all_ranks(!HasFailure()) && !HasFailure()) ADD_FAILURE() << "another rank failed";
  }

  void print(const Region& region, const Tally& tally) const {
    std::printf("%-15s %-18s %5llu flips: %5llu detected, %llu harmless, %llu unnoticed, %.1f ms\n",
                to_string(how_).c_str(), region.name.c_str(),
                static_cast<unsigned long long>(flips()),
                static_cast<unsigned long long>(tally.detected),
                static_cast<unsigned long long>(tally.harmless.size()),
                static_cast<unsigned long long>(tally.unnoticed),
                1e3 * tally.seconds / static_cast<double>(flips()));
    if (region.verified) {
      for (const std::string& where : tally.harmless)
        std::printf("  harmless: %s\n", where.c_str());
    }
    std::fflush(stdout);
  }

  std::vector<Region> regions_;  // rank 0's
  std::size_t count_ = 0;
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
};

TEST_P(FlipSweep, OneFlippedBitLeadsToTheOlderCheckpoint) {
  if (rank() == 0) {
    std::printf("%-15s CAIRN_FLIP_SEED=%llu\n", to_string(how_).c_str(),
                static_cast<unsigned long long>(seed_));
  }
  expect_newer_is_good();
  for (std::size_t i = 0; i < count_ && !HasFailure(); ++i) {
    const Region* const region = rank() == 0 ? &regions_[i] : nullptr;
    Tally tally;
    sweep(region, tally);
    if (rank() == 0) print(*region, tally);
  }
  expect_newer_is_good();
}

INSTANTIATE_TEST_SUITE_P(Protections, FlipSweep, ::testing::ValuesIn(every_protection()),
                         [](const auto& one) { return to_string(one.param); });

}  // namespace
}  // namespace cairn::test
