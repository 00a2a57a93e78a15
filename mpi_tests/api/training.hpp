#pragma once

#include <condition_variable>
#include <mutex>

#include "api/world.hpp"

namespace cairn::test {

/// Closed until it is opened: holds a thread of Cairn's where a test wants it.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

/// A state of several blocks, in slices that cross them, whose values tell the step.
class Training : public World {
 protected:
  Training() {
    add("rows", rows_, split(kShape, 0, rank(), ranks()));
    add("columns", columns_, split(kShape, 1, rank(), ranks()));
    add("everywhere", everywhere_, whole(kSmall));
    state_.add("step", step_);
  }

  static bool is_multiple() {
    int level = 0;
    MPI_Query_thread(&level);
    return level == MPI_THREAD_MULTIPLE;
  }

  void train_to(std::uint64_t step) {
    fill(rows_, 1, step);
    fill(columns_, 2, step);
    fill(everywhere_, 3, step);
    step_ = static_cast<std::int64_t>(step);
  }
  /// What a program does with its tensors once it may.
  void spoil() {
    for (Part* part : {&rows_, &columns_, &everywhere_}) std::ranges::fill(part->values, -1.0F);
    step_ = -1;
  }
  /// How many elements of the state are not those of `step`.
  [[nodiscard]] std::size_t wrong(std::uint64_t step) const {
    return wrong(rows_, 1, step) + wrong(columns_, 2, step) + wrong(everywhere_, 3, step) +
           (step_ == static_cast<std::int64_t>(step) ? 0 : 1);
  }

  /// Small blocks, so that there are many.
  static CheckpointSettings async() {
    CheckpointSettings settings{.keep_checkpoint_max = 1000, .async_save = true};
    settings.write.block_bytes = std::size_t{64} << 10;
    settings.write.deadline = std::chrono::seconds{60};
    return settings;
  }
  ModelCheckpoint make(CheckpointSettings settings) {
    return {MPI_COMM_WORLD, "run", directory(), std::move(settings)};
  }
  /// A step, after which the program does what it may with its tensors.
  Next train(ModelCheckpoint& checkpoint, std::uint64_t step) {
    train_to(step);
    const Next next = checkpoint.step_end(step, state_);
    checkpoint.before_update();
    spoil();
    return next;
  }
  /// The checkpoint that `checkpoint` says is the newest is that of `step`, and all values are right.
  void expect_newest(const ModelCheckpoint& checkpoint, std::uint64_t step) {
    ASSERT_TRUE(checkpoint.latest().has_value());
    spoil();
    EXPECT_EQ(load(MPI_COMM_WORLD, *checkpoint.latest(), state_).step, step);
    EXPECT_EQ(wrong(step), 0U);
  }
  /// A run of its own finds that `step` is the newest good one.
  void expect_restorable(std::uint64_t step) {
    ModelCheckpoint checkpoint = make(async());
    spoil();
    const auto restored = checkpoint.restore(state_);
    ASSERT_TRUE(restored.has_value());
    EXPECT_EQ(restored->step, step);
    EXPECT_TRUE(restored->skipped.empty());
    EXPECT_EQ(wrong(step), 0U);
  }

  State state_;

 private:
  inline static const Shape kShape{203, 307};
  inline static const Shape kSmall{41, 13};

  struct Part {
    Slice slice;
    std::vector<float> values;
  };

  void add(const std::string& name, Part& part, Slice slice) {
    part.slice = slice;
    part.values.resize(element_count(slice.extent));
    state_.add(name, std::span(part.values), std::move(slice));
  }
  /// By the place in the global tensor, so that a loader with other slices would know it, too.
  template <class Visit>
  static void for_each_element(const Slice& slice, Visit&& visit) {
    std::size_t i = 0;
    for (std::uint64_t r = 0; r < slice.extent[0]; ++r) {
      for (std::uint64_t c = 0; c < slice.extent[1]; ++c) {
        visit(i++, (slice.offset[0] + r) * slice.global[1] + slice.offset[1] + c);
      }
    }
  }
  static float value(unsigned which, std::uint64_t step, std::uint64_t place) {
    return static_cast<float>((place * 31 + which * 1009 + step * 7919) % 1'000'003);
  }
  static void fill(Part& part, unsigned which, std::uint64_t step) {
    for_each_element(part.slice, [&](std::size_t i, std::uint64_t place) {
      part.values[i] = value(which, step, place);
    });
  }
  static std::size_t wrong(const Part& part, unsigned which, std::uint64_t step) {
    std::size_t count = 0;
    for_each_element(part.slice, [&](std::size_t i, std::uint64_t place) {
      count += part.values[i] == value(which, step, place) ? 0 : 1;
    });
    return count;
  }

  Part rows_;
  Part columns_;
  Part everywhere_;
  std::int64_t step_ = 0;
};

}  // namespace cairn::test
