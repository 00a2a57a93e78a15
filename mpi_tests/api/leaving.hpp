// A program that trains and is left before its time, and what Cairn says about it.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "api/training.hpp"

namespace cairn::test {

/// What Cairn says about the end.
struct Witness final : Listener {
  void stopping(const Event&, std::string_view why) override { reasons.emplace_back(why); }
  void skipped(const Event& event, std::string_view why) override {
    passed_over.push_back(event.path.string() + ": " + std::string(why));
  }
  void failed(const Event&, const Error&) override { ++failures; }
  void committed(const Event&) override { ++commits; }
  std::vector<std::string> reasons;
  std::vector<std::string> passed_over;
  int failures = 0;
  int commits = 0;
};

class Leaving : public Training {
 protected:
  CheckpointSettings leaving() {
    CheckpointSettings settings{.save_checkpoint_steps = 1000,
                                .keep_checkpoint_max = 2,
                                .exception_save = true,
                                .exception_save_timeout = std::chrono::seconds{20},
                                .listener = &witness_};
    settings.write.deadline = std::chrono::seconds{60};
    return settings;
  }
  /// A step of a program that says when it changes values.
  Next step(ModelCheckpoint& checkpoint, std::uint64_t step) {
    checkpoint.before_update();
    train_to(step);
    return checkpoint.step_end(step, state_);
  }
  /// Trains until told to stop; the last step.
  std::uint64_t until_stopped(ModelCheckpoint& checkpoint, std::uint64_t from) {
    for (std::uint64_t n = from; n < from + 10; ++n) {
      if (step(checkpoint, n) == Next::stop) return n;
    }
    ADD_FAILURE() << "nobody said stop";
    return 0;
  }
  [[nodiscard]] std::vector<std::string> checkpoints() const {
    std::vector<std::string> all = names();
    std::erase_if(all, [](const std::string& name) { return name.starts_with("."); });
    return all;
  }
  std::optional<Restored> restored(CheckpointSettings settings = {},
                                   const LoadOptions& options = {}) {
    settings.listener = &witness_;
    ModelCheckpoint checkpoint = make(std::move(settings));
    spoil();
    return checkpoint.restore(state_, options);
  }

  /// A file bears the directory's name.
  void spoil_directory() {
    on_root([this] {
      std::filesystem::rename(directory(), away());
      std::ofstream(directory()).put('x');
    });
  }
  void mend_directory() {
    on_root([this] {
      std::filesystem::remove_all(directory());
      std::filesystem::rename(away(), directory());
    });
  }
  [[nodiscard]] std::filesystem::path away() const { return directory().string() + ".away"; }

  Witness witness_;
};

}  // namespace cairn::test
