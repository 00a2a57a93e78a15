// Full saves of MapParameters: the bytes depend on the entries alone, and every rank gets what it owns.
#include <numeric>
#include <optional>

#include "maps/table.hpp"

namespace cairn::test {
namespace {

Key some_key() { return Key(std::vector<std::byte>(32, std::byte{0x5a})); }

class MapSaves : public World {
 protected:
  static SaveOptions at_time_zero() {
    SaveOptions options;
    options.saved_at = Time{};
    return options;
  }
  static void fill(MapAndTruth& table, std::int64_t keys) {
    for (std::int64_t key = -keys / 3; key < keys - keys / 3; ++key) {
      table.put(key * key * key, static_cast<float>(key));
    }
  }
  /// Saves on all ranks, loads on all ranks and on fewer.
  void expect_round_trip(const SaveOptions& options, const LoadOptions& unlock,
                         const std::string& name) {
    MapAndTruth table;
    fill(table, 5000);
    std::vector<double> weight(100, 1.25);
    State state;
    state.add("w", std::span(weight), whole({100})).add("emb", table.map());
    const SaveReport report = save(MPI_COMM_WORLD, path(name), state, options);
    EXPECT_EQ(report.map_bytes, table.truth().size() * (8 + 1 + 4 * MapAndTruth::kRow));
    EXPECT_FALSE(report.is_increment);
    for (int part_ranks = 1; part_ranks <= ranks(); ++part_ranks) {
      const Part part(part_ranks);
      if (!part.has_me()) continue;
      MapParameter other = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
      other.put(99999999, std::span<const float>(std::vector<float>{1, 2, 3}));
      std::vector<double> loaded(100);
      State to_fill;
      to_fill.add("w", std::span(loaded), whole({100})).add("emb", other);
      load(part.comm(), path(name), to_fill, unlock);
      table.expect_in(other, part.comm());
      EXPECT_EQ(loaded, weight);
      std::vector<float> row(MapAndTruth::kRow);
      EXPECT_FALSE(other.get(-12345, std::span(row)));
      EXPECT_EQ(row, (std::vector<float>{7, 8, 9}));  // the default row that was saved
    }
  }
};

TEST_F(MapSaves, ComeBackOnAnyNumberOfRanks) {
  expect_round_trip({}, {}, "plain.h5");
}

TEST_F(MapSaves, ComeBackFromShards) {
  SaveOptions options;
  options.integrated_save = false;
  expect_round_trip(options, {}, "x.shards");
}

TEST_F(MapSaves, ComeBackWithCrcs) {
  SaveOptions options;
  options.crc_check = true;
  LoadOptions unlock;
  unlock.crc_check = true;
  expect_round_trip(options, unlock, "crc.h5");
}

TEST_F(MapSaves, ComeBackEncrypted) {
  LoadOptions unlock;
  unlock.enc_key = some_key();
  for (const EncMode mode : {EncMode::aes_gcm, EncMode::aes_cbc}) {
    SaveOptions options;
    options.enc_key = some_key();
    options.enc_mode = mode;
    expect_round_trip(options, unlock, "sealed.h5.enc");
    options.integrated_save = false;
    expect_round_trip(options, unlock, "sealed.shards");
  }
}

TEST_F(MapSaves, TheFileIsTheSameOnAnyNumberOfRanks) {
  MapAndTruth table;
  fill(table, 20000);
  std::vector<float> weight(30000);
  std::iota(weight.begin(), weight.end(), 0.0F);
  State state;
  state.add("w", std::span(weight), whole({30000})).add("emb", table.map());
  SaveOptions options = at_time_zero();
  options.block_bytes = std::size_t{64} << 10;
  save(MPI_COMM_WORLD, path("all.h5"), state, options);
  options.writer = Writer::mpiio;
  save(MPI_COMM_WORLD, path("mpiio.h5"), state, options);
  options.writer = Writer::direct;
  for (int part_ranks = 1; part_ranks < ranks(); ++part_ranks) {
    const Part part(part_ranks);
    if (!part.has_me()) continue;
    MapAndTruth same(part.comm());
    // In another order, and with a past.
    for (const auto& [key, row] : table.truth()) same.put(key + 1, 5);
    for (auto at = table.truth().rbegin(); at != table.truth().rend(); ++at) {
      same.put(at->first, at->second[0]);
    }
    for (const auto& [key, row] : std::map(same.truth())) {
      if (!table.truth().contains(key)) same.erase(key);
    }
    State again;
    again.add("w", std::span(weight), whole({30000})).add("emb", same.map());
    const std::string name = std::to_string(part_ranks) + ".h5";
    save(part.comm(), path(name), again, options);
  }
  on_root([&] {
    const std::vector<char> expected = bytes_at(path("all.h5"));
    EXPECT_GT(expected.size(), 20000U * 21);
    EXPECT_TRUE(bytes_at(path("mpiio.h5")) == expected);
    for (int part_ranks = 1; part_ranks < ranks(); ++part_ranks) {
      EXPECT_TRUE(bytes_at(path(std::to_string(part_ranks) + ".h5")) == expected) << part_ranks;
    }
  });
}

/// A row takes several blocks, and the entries several windows.
TEST_F(MapSaves, LongRowsAndManyWindowsComeBack) {
  constexpr std::uint64_t kRow = 50000;
  MapParameter map({.key_dtype = DType::int32, .dtype = DType::int16, .row_shape = {kRow / 10, 10}});
  const auto row_of = [](std::int64_t key) {
    std::vector<std::int16_t> row(kRow);
    std::iota(row.begin(), row.end(), static_cast<std::int16_t>(key * 31));
    return row;
  };
  for (std::int64_t key = 0; key < 300; ++key) {
    const std::vector<std::int16_t> row = row_of(key);
    if (key % ranks() == rank()) map.put(key, std::span(row));  // not by the default owner
  }
  State state;
  state.add("long/rows", map);
  SaveOptions options;
  options.block_bytes = std::size_t{64} << 10;
  save(MPI_COMM_WORLD, path("x.h5"), state, options);
  MapParameter loaded(
      {.key_dtype = DType::int32, .dtype = DType::int16, .row_shape = {kRow / 10, 10}});
  State to_fill;
  to_fill.add("long/rows", loaded);
  load(MPI_COMM_WORLD, path("x.h5"), to_fill);
  std::uint64_t own = 0;
  for (std::int64_t key = 0; key < 300; ++key) {
    if (loaded.owner(key, ranks()) != rank()) continue;
    ++own;
    std::vector<std::int16_t> row(kRow);
    EXPECT_TRUE(loaded.get(key, std::span(row)));
    EXPECT_TRUE(row == row_of(key));
  }
  EXPECT_EQ(loaded.size(), own);
}

TEST_F(MapSaves, EmptyMapsAndScalarRowsComeBack) {
  MapParameter empty = MapParameter::of<std::int64_t, double>({4});
  MapParameter scalar = MapParameter::of<std::int32_t, std::uint8_t>({});
  const std::vector<std::uint8_t> three{3};
  if (rank() == 0) scalar.put(-5, std::span(three));
  State state;
  state.add("scalar", scalar).add("empty", empty);
  save(MPI_COMM_WORLD, path("x.h5"), state);
  scalar.clear();
  if (rank() == ranks() - 1) empty.put(1, std::span<const double>(std::vector<double>(4)));
  load(MPI_COMM_WORLD, path("x.h5"), state);
  EXPECT_EQ(empty.size(), 0U);
  EXPECT_EQ(scalar.contains(-5), scalar.owner(-5, ranks()) == rank());
  EXPECT_LE(scalar.size(), 1U);
}

TEST_F(MapSaves, AnOwnerFunctionSaysWhoGetsWhat) {
  const MapOwner last = [](std::int64_t, int ranks) { return ranks - 1; };
  MapAndTruth table;
  fill(table, 1000);
  State state;
  state.add("emb", table.map());
  save(MPI_COMM_WORLD, path("x.h5"), state);
  MapParameter other = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow}, {}, last);
  State to_fill;
  to_fill.add("emb", other);
  load(MPI_COMM_WORLD, path("x.h5"), to_fill);
  EXPECT_EQ(other.size(), rank() == ranks() - 1 ? table.truth().size() : 0);
  table.expect_in(other, MPI_COMM_WORLD);
}

TEST_F(MapSaves, AKeyOnTwoRanksIsRefused) {
  if (ranks() == 1) GTEST_SKIP();
  MapAndTruth table;
  fill(table, 300);
  const std::vector<float> row(MapAndTruth::kRow);
  if (rank() < 2) table.map().put(1234567, std::span(row));
  State state;
  state.add("emb", table.map());
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state); }, ErrorCode::layout,
               {"map_parameter \"emb\"", "ranks 0 and 1 both hold one key"});
  EXPECT_TRUE(names().empty());
}

TEST_F(MapSaves, OtherMapsOnOtherRanksAreRefused) {
  if (ranks() == 1) GTEST_SKIP();
  MapParameter map = MapParameter::of<std::int64_t, float>({rank() == 0 ? 3U : 4U});
  State state;
  state.add("emb", map);
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state); }, ErrorCode::invalid_argument,
               {"MapParameters", "rank 1"});
  State alone;
  if (rank() == 0) alone.add("emb", map);
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), alone); }, ErrorCode::invalid_argument,
               {"MapParameters", "rank 1"});
}

TEST_F(MapSaves, AMapTwiceInAStateIsRefused) {
  MapParameter map = MapParameter::of<std::int64_t, float>({3});
  State state;
  state.add("emb", map).add("emb", map);
  expect_error([&] { save(MPI_COMM_WORLD, path("x.h5"), state); }, ErrorCode::invalid_argument,
               {"map_parameter \"emb\" is in the State twice"});
}

TEST_F(MapSaves, WhatDoesNotMatchIsListed) {
  MapParameter map = MapParameter::of<std::int64_t, float>({3});
  MapParameter extra = MapParameter::of<std::int64_t, float>({3});
  State state;
  state.add("emb", map).add("extra", extra);
  save(MPI_COMM_WORLD, path("x.h5"), state);
  MapParameter wrong = MapParameter::of<std::int32_t, float>({3});
  MapParameter absent = MapParameter::of<std::int64_t, float>({3});
  const std::vector<float> row(3);
  absent.put(1, std::span(row));
  State other;
  other.add("emb", wrong).add("absent", absent);
  expect_error([&] { load(MPI_COMM_WORLD, path("x.h5"), other); }, ErrorCode::mismatch,
               {"in 3 tensors", "missing in the file: map_parameter \"absent/values\"",
                "extra in the file: map_parameter \"extra/values\"",
                "different: map_parameter \"emb/keys\" is int64 [0] in the file, int32 [0]",
                "state unchanged"});
  LoadOptions lenient;
  lenient.strict = false;
  const LoadReport report = load(MPI_COMM_WORLD, path("x.h5"), other, lenient);
  EXPECT_EQ(report.missing.size() + report.extra.size() + report.different.size(), 3U);
  EXPECT_EQ(absent.size(), 1U);
  LoadOptions filtered;
  filtered.filter = [](std::string_view name) { return name == "extra"; };
  State only;
  only.add("extra", extra).add("absent", absent);
  load(MPI_COMM_WORLD, path("x.h5"), only, filtered);
}

/// Tensors may have the names that the group of maps has.
TEST_F(MapSaves, ATensorOfTheGroupsNameStaysApart) {
  float a = 1;
  float b = 2;
  MapAndTruth table;
  fill(table, 10);
  State without;
  without.add("map_parameter/emb/keys", a);
  save(MPI_COMM_WORLD, path("without.h5"), without);
  State with;
  with.add("map_parameter/emb/keys", b).add("emb", table.map());
  save(MPI_COMM_WORLD, path("with.h5"), with);
  a = b = 0;
  load(MPI_COMM_WORLD, path("without.h5"), without);
  load(MPI_COMM_WORLD, path("with.h5"), with);
  EXPECT_EQ(a, 1);
  EXPECT_EQ(b, 2);
  table.expect_in_own();
}

}  // namespace
}  // namespace cairn::test
