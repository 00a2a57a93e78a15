#include "cairn_contestants.hpp"

#include <optional>
#include <utility>

#include "async_saver.hpp"
#include "cairn/cairn.hpp"

namespace bench {

const std::vector<std::string> kCairnWays{"sync",    "shards", "crc",   "aes-gcm", "aes-cbc",
                                          "sm4-cbc", "async",  "lazy",  "load",    "resliced"};

namespace {

namespace fs = std::filesystem;

cairn::Key some_key(std::size_t bytes) {
  return cairn::Key::with_bytes(bytes, [](std::span<std::byte> key) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(17 * i + 3);
  });
}

cairn::CheckpointSettings settings_of(const std::string& way) {
  constexpr std::size_t kAes256 = 32;
  constexpr std::size_t kSm4 = 16;
  cairn::CheckpointSettings settings;
  settings.keep_checkpoint_max = 1;
  settings.integrated_save = way != "shards";
  settings.async_save = way == "async" || way == "lazy";
  settings.lazy_capture = way == "lazy";
  settings.crc_check = way == "crc";
  if (way == "aes-gcm" || way == "aes-cbc") settings.enc_key = some_key(kAes256);
  if (way == "aes-cbc") settings.enc_mode = cairn::EncMode::aes_cbc;
  if (way == "sm4-cbc") {
    settings.enc_key = some_key(kSm4);
    settings.enc_mode = cairn::EncMode::sm4_cbc;
  }
  return settings;
}

/// A save that the program waits for.
class Save : public Contestant {
 public:
  Save(const Course& course, const std::string& way)
      : course_(course),
        checkpoint_(course.world.comm(), "bench", (course.directory / way).string(),
                    settings_of(way)) {}

  Sample run() override {
    cairn::SaveReport report;
    Sample sample = timed_together(course_.world, [&] {
      report = checkpoint_.save(1, course_.slices.state());
    });
    sample.planning = report.seconds[static_cast<std::size_t>(cairn::Phase::planning)];
    return sample;
  }
  void tidy() override { checkpoint_.wait(); }  // what the save replaced is gone then

 private:
  const Course& course_;
  cairn::ModelCheckpoint checkpoint_;
};

/// A save while a kernel computes: what the program stalls, against a memcpy or the whole time.
class SaveBeside : public Contestant {
 public:
  SaveBeside(const Course& course, const std::string& way)
      : lazy_(way == "lazy"),
        saver_({.directory = (course.directory / way).string(),
                .prefix = "bench",
                .step_seconds = course.step_seconds},
               course.world, course.slices.state(),
               course.slices.bytes(), settings_of(way)) {}

  Sample run() override {
    const AsyncCost cost = saver_.save_once();
    return {.seconds = cost.stall, .against = lazy_ ? cost.total : cost.memcpy};
  }
  void tidy() override { saver_.wait(); }

 private:
  bool lazy_;
  AsyncSaver saver_;
};

/// Columns, where most tensors are not cut so already.
Slicing other_slicing(const Workload& workload) {
  std::uint64_t columns = 0;
  for (const Tensor& tensor : workload.tensors) {
    if (tensor.slicing == Slicing::columns) columns += tensor.bytes();
  }
  return 2 * columns > workload.bytes() ? Slicing::rows : Slicing::columns;
}

class Load : public Contestant {
 public:
  Load(const Course& course, bool resliced)
      : course_(course), path_(course.directory / (resliced ? "resliced.h5" : "load.h5")) {
    cairn::save(course.world.comm(), path_, course.slices.state());
    if (!resliced) return;
    own_.emplace(course.world, course.workload, other_slicing(course.workload), course.pages);
    own_->spoil();  // touches it
  }

  Sample run() override {
    cairn::State& state = own_ ? own_->state() : course_.slices.state();
    return timed_together(course_.world, [&] {
      static_cast<void>(cairn::load(course_.world.comm(), path_, state));
    });
  }

 private:
  const Course& course_;
  fs::path path_;
  std::optional<Slices> own_;
};

}  // namespace

std::unique_ptr<Contestant> make_cairn_contestant(const Course& course, const std::string& way) {
  if (way == "async" || way == "lazy") return std::make_unique<SaveBeside>(course, way);
  if (way == "load" || way == "resliced") return std::make_unique<Load>(course, way == "resliced");
  return std::make_unique<Save>(course, way);
}

}  // namespace bench
