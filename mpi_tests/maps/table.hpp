#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "api/world.hpp"

namespace cairn::test {

/// A map as the whole job sees it, beside the tables of its ranks: every rank makes the same changes
/// here, and to its own table those to keys that it owns.
class MapAndTruth {
 public:
  static constexpr std::size_t kRow = 3;
  using Row = std::vector<float>;

  explicit MapAndTruth(MPI_Comm comm = MPI_COMM_WORLD, MapOwner owner = {})
      : comm_(comm),
        map_(MapParameter::of<std::int64_t, float>({kRow}, std::span(kDefault), std::move(owner))) {
    MPI_Comm_size(comm, &ranks_);
  }

  void put(std::int64_t key, float value) {
    const Row row{value, value + 0.5F, -value};
    truth_[key] = row;
    if (is_own(key)) map_.put(key, std::span(row));
  }
  void erase(std::int64_t key) {
    truth_.erase(key);
    if (is_own(key)) map_.erase(key);
  }
  /// Puts, erases and puts again among `keys` keys.
  void change(std::mt19937_64& random, int changes, std::uint64_t keys) {
    for (int i = 0; i < changes; ++i) {
      const auto key = static_cast<std::int64_t>(random() % keys * 977) - 1000;
      const auto value = static_cast<float>(random() % 100000);
      random() % 4 == 0 ? erase(key) : put(key, value);
    }
  }

  MapParameter& map() { return map_; }
  std::map<std::int64_t, Row>& truth() { return truth_; }
  [[nodiscard]] const std::map<std::int64_t, Row>& truth() const { return truth_; }

  /// That a table of a rank of `comm` holds what it owns of the truth, and nothing else.
  void expect_in(const MapParameter& map, MPI_Comm comm) const {
    int ranks = 0;
    MPI_Comm_size(comm, &ranks);
    std::map<std::int64_t, Row> expected;
    for (const auto& [key, row] : truth_) {
      if (map.owner(key, ranks) == rank_of(comm)) expected.emplace(key, row);
    }
    std::map<std::int64_t, Row> found;
    map.for_each<float>([&](std::int64_t key, std::span<const float> row) {
      found.emplace(key, Row(row.begin(), row.end()));
    });
    EXPECT_EQ(found.size(), expected.size());
    EXPECT_TRUE(found == expected);
  }
  void expect_in_own() const { expect_in(map_, comm_); }

 private:
  static constexpr float kDefault[kRow] = {7, 8, 9};

  [[nodiscard]] bool is_own(std::int64_t key) const {
    return map_.owner(key, ranks_) == rank_of(comm_);
  }

  MPI_Comm comm_;
  int ranks_ = 1;
  MapParameter map_;
  std::map<std::int64_t, Row> truth_;
};

/// The first `ranks` ranks of the world; nothing on the others.
class Part {
 public:
  explicit Part(int ranks) {
    MPI_Comm_split(MPI_COMM_WORLD, rank_of() < ranks ? 0 : MPI_UNDEFINED, rank_of(), &comm_);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }
  [[nodiscard]] bool has_me() const { return comm_ != MPI_COMM_NULL; }
  [[nodiscard]] MPI_Comm comm() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

inline std::vector<char> bytes_at(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace cairn::test
