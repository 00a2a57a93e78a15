// Files of format 1.3 that were written once: a full checkpoint with a map, and an increment on it. Every
// later version must read them. Made by running this with CAIRN_MAKE_GOLDEN=<directory> on 3 ranks; they
// are never made again.
#include <zlib.h>

#include <array>
#include <cstdlib>

#include "maps/table.hpp"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;

class MapGolden : public World {
 protected:
  static std::int64_t key_of(int i) { return std::int64_t{i} * i * i - 5000; }
  static void make_base(MapAndTruth& table) {
    for (int i = 0; i < 100; ++i) table.put(key_of(i), static_cast<float>(i));
  }
  static void make_increment(MapAndTruth& table) {
    for (int i = 0; i < 20; i += 2) table.erase(key_of(i));
    for (int i = 90; i < 105; ++i) table.put(key_of(i), static_cast<float>(-i));
  }
  static void write(const fs::path& directory) {
    MapAndTruth table;
    float weight = 1.5F;
    State state;
    state.add("weight", weight).add("emb", table.map());
    CheckpointSettings settings{.crc_check = true, .incremental = true};
    settings.clock = [] { return Time{std::chrono::seconds{1'700'000'000}}; };
    settings.run_id = RunId{std::byte{1}};
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "MAP", directory, settings);
    make_base(table);
    checkpoint.save(1, state);
    make_increment(table);
    checkpoint.save(2, state);
  }
  /// A file of the repository, unpacked.
  void unpack(const std::string& name) const {
    const fs::path packed = fs::path(CAIRN_GOLDEN) / "1.3" / (name + ".gz");
    gzFile in = gzopen(packed.c_str(), "rb");
    ASSERT_NE(in, nullptr) << packed;
    std::ofstream out(path(name), std::ios::binary);
    std::array<char, 65536> piece{};
    for (int n = 0; (n = gzread(in, piece.data(), piece.size())) > 0;) out.write(piece.data(), n);
    gzclose(in);
  }
  void expect_loaded(const std::string& name, const MapAndTruth& expected,
                     std::uint64_t increments) const {
    MapParameter map = MapParameter::of<std::int64_t, float>({MapAndTruth::kRow});
    float weight = 0;
    State state;
    state.add("weight", weight).add("emb", map);
    const LoadReport report = load(MPI_COMM_WORLD, path(name), state);
    EXPECT_EQ(report.increments, increments);
    EXPECT_EQ(report.verified, Verified::crc);
    EXPECT_EQ(weight, 1.5F);
    expected.expect_in(map, MPI_COMM_WORLD);
  }
};

TEST_F(MapGolden, TheFilesOf1Point3HoldWhatTheyHeld) {
  if (const char* const directory = std::getenv("CAIRN_MAKE_GOLDEN")) return write(directory);
  on_root([&] {
    unpack("MAP-1_1.h5");
    unpack("MAP-1_2.h5");
  });
  MapAndTruth expected;
  make_base(expected);
  expect_loaded("MAP-1_1.h5", expected, 0);
  make_increment(expected);
  expect_loaded("MAP-1_2.h5", expected, 1);
}

}  // namespace
}  // namespace cairn::test
