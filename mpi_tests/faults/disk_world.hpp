// A state that a small disk holds twice, and what tests of disks need besides.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <vector>

#include "api/world.hpp"
#include "faults/small_disk.hpp"

namespace cairn::faults {

namespace fs = std::filesystem;

/// Runs something on rank 0 when it enters a phase; notes the phases.
struct AtPhase : Listener {
  std::optional<Phase> when;
  std::function<void()> then;
  std::set<Phase> seen;
  void phase(const Event& event, Phase phase) override {
    seen.insert(phase);
    if (event.rank == 0 && when == phase && then) std::exchange(then, {})();
  }
};

/// A state of 22 MiB: the small disk holds two, and not a third.
class DiskTest : public test::World {
 protected:
  DiskTest() : slice_(split({kRows, kColumns}, 0, rank(), ranks())) {
    values_.resize(slice_.extent[0] * kColumns);
    state_.add("values", std::span(values_), slice_).add("step", step_);
  }

  /// Skips, saying so, where there can be no such disk.
  bool mount(SmallDisk::Type type) {
    if (rank() == 0) disk_ = std::make_unique<SmallDisk>(type, path("disk"));
    const std::string missing = test::share(rank() == 0 ? disk_->missing() : "");
    if (missing.empty()) return true;
    if (rank() == 0) {
      std::printf("SKIPPED, no small disk (%s): nobody has tried what a full or failing one does\n",
                  missing.c_str());
    }
    return false;
  }

  void become(std::uint64_t step) {
    step_ = static_cast<std::int64_t>(step);
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = value(i);
  }
  void expect_restored(std::uint64_t step, bool shards) {
    MPI_Barrier(MPI_COMM_WORLD);
    std::ranges::fill(values_, -1.0F);
    step_ = -1;
    ModelCheckpoint checkpoint = make(shards);
    const auto restored = checkpoint.restore(state_);
    ASSERT_TRUE(restored.has_value());
    EXPECT_EQ(restored->step, step);
    EXPECT_TRUE(restored->skipped.empty());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values_.size(); ++i) wrong += values_[i] == value(i) ? 0 : 1;
    EXPECT_EQ(wrong, 0U);
  }
  [[nodiscard]] fs::path place() const { return path("disk") / "checkpoints"; }
  static CheckpointSettings settings(bool shards, Listener* listener = nullptr) {
    CheckpointSettings settings{
        .keep_checkpoint_max = 1000, .integrated_save = !shards, .listener = listener};
    settings.write.block_bytes = std::size_t{1} << 20;
    settings.write.deadline = std::chrono::seconds{60};
    return settings;
  }
  ModelCheckpoint make(const CheckpointSettings& settings) {
    return {MPI_COMM_WORLD, "run", place(), settings};
  }
  ModelCheckpoint make(bool shards, Listener* listener = nullptr) {
    return make(settings(shards, listener));
  }
  void save(ModelCheckpoint& checkpoint, std::uint64_t step) {
    become(step);
    checkpoint.save(step, state_);
  }
  /// All but locks, on every rank.
  [[nodiscard]] std::string entries() const {
    MPI_Barrier(MPI_COMM_WORLD);
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(place())) {
      names.insert(entry.path().filename().string());
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return std::accumulate(names.begin(), names.end(), std::string(),
                           [](const std::string& all, const std::string& name) {
                             return name.starts_with(".lock") ? all : all + name + " ";
                           });
  }

  std::unique_ptr<SmallDisk> disk_;  ///< rank 0 only
  State state_;

 private:
  static constexpr std::uint64_t kRows = 5632;
  static constexpr std::uint64_t kColumns = 1024;

  [[nodiscard]] float value(std::size_t i) const {
    const std::uint64_t place = slice_.offset[0] * kColumns + i;
    return static_cast<float>((place * 31 + static_cast<std::uint64_t>(step_) * 7919) % 1'000'003);
  }

  Slice slice_;
  std::vector<float> values_;
  std::int64_t step_ = 0;
};

/// Where, and in which form.
struct DiskKind {
  SmallDisk::Type type;
  bool shards;
};
inline std::string name_of(const ::testing::TestParamInfo<DiskKind>& one) {
  return std::string(one.param.type == SmallDisk::Type::tmpfs ? "tmpfs" : "ext4") +
         (one.param.shards ? "_shards" : "");
}

/// On each type of disk, in each form.
class OnEachDisk : public DiskTest, public ::testing::WithParamInterface<DiskKind> {
 protected:
  [[nodiscard]] static bool shards() { return GetParam().shards; }
  [[nodiscard]] static std::string name(std::uint64_t step) {
    return "run-1_" + std::to_string(step) + (shards() ? ".shards" : ".h5");
  }
};
inline constexpr std::array kEachDisk{
    DiskKind{SmallDisk::Type::tmpfs, false}, DiskKind{SmallDisk::Type::tmpfs, true},
    DiskKind{SmallDisk::Type::ext4, false}, DiskKind{SmallDisk::Type::ext4, true}};

}  // namespace cairn::faults
