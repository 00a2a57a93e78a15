// The job that `soak` starts again and again: restores, saves on, and tells each beginning and
// commit as it happens, until it is done or killed.
//
//   restored <sequence> <step> right|wrong <passed over>     or: restored 0
//   begun <sequence> <path>
//   committed <sequence> <path>
//   bye
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <string>

#include "cairn/cairn.hpp"
#include "command.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "slices.hpp"

namespace bench {
namespace {

struct WorkerArguments {
  std::string directory;
  std::string pipe;
  std::uint64_t saves = 1;
  std::int64_t keep = 3;
  bool shards = false;
  bool asynchronous = false;
  std::optional<Slicing> slicing;
  ProtectionArguments protection;
};

/// A megabyte in pieces that cross blocks.
const Workload& soak_workload() {
  static const Workload workload{{
      {"rows", cairn::DType::float32, {523, 257}, Slicing::rows},
      {"columns", cairn::DType::float64, {127, 391}, Slicing::columns},
      {"grid", cairn::DType::bfloat16, {301, 203}, Slicing::grid},
      {"everywhere", cairn::DType::int32, {1009}, Slicing::replicated},
      {"stage", cairn::DType::uint8, {4099}, Slicing::stage},
  }};
  return workload;
}

/// Rank 0 tells, each line as a whole.
class Teller : public cairn::Listener {
 public:
  Teller(const World& world, const std::string& path)
      : pipe_(world.is_root() ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC) : -1) {
    if (!world.all(pipe_ >= 0 || !world.is_root())) throw Failure("cannot open " + path);
  }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;
  ~Teller() override {
    if (pipe_ >= 0) ::close(pipe_);
  }
  void tell(const std::string& text) const {
    const std::string line = text + "\n";
    if (pipe_ >= 0 && ::write(pipe_, line.data(), line.size()) < 0) std::abort();
  }
  void started(const cairn::Event& event) override { tell_of("begun ", event); }
  void committed(const cairn::Event& event) override { tell_of("committed ", event); }

 private:
  void tell_of(const char* what, const cairn::Event& event) {
    tell(what + std::to_string(event.sequence) + " " + event.path.string());
  }

  int pipe_;
};

cairn::CheckpointSettings settings_of(const WorkerArguments& arguments, cairn::Listener& listener) {
  cairn::CheckpointSettings settings{.keep_checkpoint_max = arguments.keep,
                                     .integrated_save = !arguments.shards,
                                     .async_save = arguments.asynchronous,
                                     .enc_key = arguments.protection.key(),
                                     .crc_check = arguments.protection.crc,
                                     .listener = &listener};
  if (!arguments.protection.enc_mode.empty()) {
    settings.enc_mode = cairn::enc_mode_named(arguments.protection.enc_mode);
  }
  settings.write.block_bytes = std::size_t{64} << 10;
  settings.write.deadline = std::chrono::seconds{60};
  return settings;
}

void run_worker(const WorkerArguments& arguments, const Stage& stage) {
  Slices slices(stage.world, soak_workload(), arguments.slicing);
  slices.spoil();
  Teller teller(stage.world, arguments.pipe);
  cairn::ModelCheckpoint checkpoint(stage.world.comm(), "soak", arguments.directory,
                                    settings_of(arguments, teller));
  std::uint64_t step = 0;
  if (const auto restored = checkpoint.restore(slices.state())) {
    step = restored->step;
    const auto difference = slices.find_difference(step);
    teller.tell("restored " + std::to_string(restored->sequence) + " " + std::to_string(step) +
                          (difference ? " wrong " : " right ") +
                          std::to_string(restored->skipped.size()));
  } else {
    teller.tell("restored 0");
  }
  for (std::uint64_t i = 0; i < arguments.saves; ++i) {
    slices.fill(++step);
    static_cast<void>(checkpoint.step_end(step, slices.state()));
  }
  if (arguments.saves > 0) checkpoint.end(step, slices.state());
  teller.tell("bye");
}

}  // namespace

void add_soak_worker_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("soak-worker", "the job that soak starts");
  auto arguments = std::make_shared<WorkerArguments>();
  command->add_option("--dir", arguments->directory, "where checkpoints are")->required();
  command->add_option("--tell", arguments->pipe, "the named pipe to tell by")->required();
  command->add_option("--saves", arguments->saves, "how many, after the restore");
  command->add_option("--keep", arguments->keep, "keep this many checkpoints");
  command->add_flag("--shards", arguments->shards, "a directory with one file per rank");
  command->add_flag("--async", arguments->asynchronous, "asynchronous saves");
  add_slicing_option(*command, arguments->slicing);
  add_protection_options(*command, arguments->protection);
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_worker(*arguments, stage); };
  });
}

}  // namespace bench
