// A state whose every value tells which version of it was saved, and one run of a program that
// saves it.
#pragma once

#include <mpi.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/cairn.hpp"

namespace cairn::faults {

/// What one rank holds: rows, columns, a replica, the version itself and, if wanted, its keys of a
/// MapParameter. Some keys are there in every version, one is of each version alone.
class Model {
 public:
  explicit Model(MPI_Comm comm, bool has_map = false) : has_map_(has_map) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &ranks_);
    add("rows", rows_, split(kShape, 0, rank_, ranks_));
    add("columns", columns_, split(kShape, 1, rank_, ranks_));
    add("everywhere", everywhere_, whole(kSmall));
    state_.add("version", version_);
    if (has_map_) state_.add("map", map_);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] State& state() { return state_; }
  [[nodiscard]] std::int64_t version() const { return version_; }

  void become(std::int64_t version) {
    version_ = version;
    for_each([&](float& element, std::uint64_t place) { element = value(version, place); });
    for (std::int64_t key = 0; key < kKeys; ++key) put(key);
    map_.erase(kKeys + version - 1);
    put(kKeys + version);
  }
  void spoil() {
    version_ = -1;
    for_each([](float& element, std::uint64_t) { element = -1.0F; });
    map_.clear();
  }
  /// How many elements are not those of the version that it says it is.
  [[nodiscard]] std::size_t wrong() {
    std::size_t count = 0;
    for_each([&](const float& element, std::uint64_t place) {
      count += element == value(version_, place) ? 0 : 1;
    });
    return count + (has_map_ ? wrong_keys() : 0);
  }

 private:
  inline static const Shape kShape{101, 203};
  inline static const Shape kSmall{41, 13};
  static constexpr std::int64_t kKeys = 50;

  struct Part {
    Slice slice;
    std::vector<float> values;
  };

  void add(const char* name, Part& part, Slice slice) {
    part.slice = slice;
    part.values.resize(slice.extent[0] * slice.extent[1]);
    state_.add(name, std::span(part.values), std::move(slice));
  }
  void put(std::int64_t key) {
    if (map_.owner(key, ranks_) != rank_) return;
    map_.put(key, std::span<const float>(row(key)));
  }
  [[nodiscard]] std::array<float, 2> row(std::int64_t key) const {
    const auto place = static_cast<std::uint64_t>(key);
    return {value(version_, place), value(version_, place + 1'000)};
  }
  [[nodiscard]] std::size_t wrong_keys() const {
    std::size_t right = 0;
    std::size_t mine = 0;
    const auto look = [&](std::int64_t key) {
      if (map_.owner(key, ranks_) != rank_) return;
      std::array<float, 2> found{};
      ++mine;
      right += map_.get(key, std::span(found)) && found == row(key) ? 1 : 0;
    };
    for (std::int64_t key = 0; key < kKeys; ++key) look(key);
    look(kKeys + version_);
    return (mine - right) + (map_.size() == mine ? 0 : 1);
  }
  static float value(std::int64_t version, std::uint64_t place) {
    const std::uint64_t mixed = place * 31 + static_cast<std::uint64_t>(version) * 7919;
    return static_cast<float>(mixed % 1'000'003);
  }
  /// With the place in the whole model, so that each layout has the same values.
  template <class Visit>
  void for_each(Visit&& visit) {
    std::uint64_t base = 0;
    for (Part* part : {&rows_, &columns_, &everywhere_}) {
      const Slice& slice = part->slice;
      float* element = part->values.data();
      for (std::uint64_t r = 0; r < slice.extent[0]; ++r) {
        for (std::uint64_t c = 0; c < slice.extent[1]; ++c) {
          visit(*element++,
                base + (slice.offset[0] + r) * slice.global[1] + slice.offset[1] + c);
        }
      }
      base += slice.global[0] * slice.global[1];
    }
  }

  int rank_ = 0;
  int ranks_ = 1;
  Part rows_;
  Part columns_;
  Part everywhere_;
  std::int64_t version_ = 0;
  bool has_map_;
  MapParameter map_ = MapParameter::of<std::int64_t, float>({2});
  State state_;
};

}  // namespace cairn::faults
