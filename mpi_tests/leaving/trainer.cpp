// A training loop in miniature, data parallel times tensor parallel on 2 x 2 ranks, that goes wrong
// where it is told to. Each rank writes what became of it into a file of its own, since mpirun's exit
// status does not tell.
//
//   trainer --dir DIR --verdicts DIR [--fail WHAT] [--at STEP] …
#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cairn/cairn.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string directory;
  std::string verdicts;
  std::string fail = "nothing";
  std::string phase;
  std::uint64_t at = 0;  ///< the step; 0: while it is restored
  std::uint64_t steps = 12;
  std::int64_t save_every = 4;
  bool asynchronous = false;
  bool sharded = false;  ///< the optimizer's values: a part on each rank, no replicas
  int deadline = 3;
  int timeout = 4;
  int stop_in = 0;  ///< seconds until the time limit
  int step_ms = 0;
  int save_ms = 0;  ///< how much longer saves take
  bool unmarked = false;
  bool crc = false;
  std::string key;  ///< hexadecimal; empty: plain
};

/// The rank that fails, where one does.
constexpr int kVictim = 2;

/// The values of a tensor are known for every step.
float value(std::uint64_t step, std::uint64_t place) {
  return static_cast<float>((place * 37 + step * 1009) % 65'521);
}

struct Part {
  cairn::Slice slice;
  std::vector<float> values;

  template <class Visit>
  void for_each(Visit&& visit) {
    std::size_t i = 0;
    for (std::uint64_t r = 0; r < slice.extent[0]; ++r) {
      for (std::uint64_t c = 0; c < slice.extent[1]; ++c) {
        visit(values[i++], (slice.offset[0] + r) * slice.global[1] + slice.offset[1] + c);
      }
    }
  }
};

/// Stands still in a phase, where it is told to.
class Stopper : public cairn::Listener {
 public:
  Stopper(const Options& options, int rank) : options_(options), rank_(rank) {}
  void phase(const cairn::Event& event, cairn::Phase phase) override {
    if (phase == cairn::Phase::syncing) {
      std::this_thread::sleep_for(std::chrono::milliseconds(options_.save_ms));  // the device
    }
    if (options_.fail != "stop" || rank_ != kVictim || done_) return;
    if (to_string(phase) != options_.phase) return;
    if (options_.at == 0 ? !loading : event.step != options_.at) return;
    done_ = true;
    std::ofstream(options_.verdicts + "/stopped") << ::getpid();
    ::raise(SIGSTOP);
  }
  void stopping(const cairn::Event&, std::string_view why) override { reason = why; }
  void skipped(const cairn::Event& event, std::string_view why) override {
    skips.push_back(event.path.string() + ": " + std::string(why));
  }
  std::string reason;
  std::vector<std::string> skips;
  bool loading = true;

 private:
  const Options& options_;
  int rank_;
  bool done_ = false;
};

class Trainer {
 public:
  explicit Trainer(const Options& options) : options_(options) {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
    // Data parallel in the first dimension of the mesh, where there are ranks enough.
    const auto ranks = static_cast<std::uint64_t>(ranks_);
    const std::uint64_t replicas = ranks % 2 == 0 ? 2 : 1;
    const cairn::Mesh mesh{.device_matrix = {replicas, ranks / replicas}};
    const std::vector<int> rows_over_tensor_ranks{0, -1};
    weight_.slice = cairn::place({211, 97}, mesh, rows_over_tensor_ranks, rank_);
    moment_.slice = options_.sharded ? cairn::split({211, 97}, 0, rank_, ranks_) : weight_.slice;
    for (Part* part : {&weight_, &moment_}) {
      part->values.resize(part->slice.extent[0] * part->slice.extent[1]);
    }
    state_.add("weight", std::span(weight_.values), weight_.slice)
        .add("moment", std::span(moment_.values), moment_.slice)
        .add("step", step_);
    set_values(0);
  }

  nlohmann::json run() {
    Stopper stopper(options_, rank_);
    nlohmann::json verdict{{"rank", rank_}, {"pid", ::getpid()}};
    try {
      train(stopper, verdict);
      verdict["result"] = "ended";
    } catch (const cairn::Error& error) {
      verdict["result"] = "error";
      verdict["code"] = std::string(to_string(error.code()));
      verdict["blamed"] = error.rank();
      verdict["what"] = error.what();
    } catch (const std::exception& error) {
      verdict["result"] = "exception";
      verdict["what"] = error.what();
    }
    verdict["reason"] = stopper.reason;
    verdict["skips"] = stopper.skips;
    verdict["step"] = step_;
    return verdict;
  }

 private:
  void set_values(std::uint64_t step) {
    step_ = step;
    weight_.for_each([&](float& v, std::uint64_t place) { v = value(step, place); });
    moment_.for_each([&](float& v, std::uint64_t place) { v = value(step, place + 1); });
  }
  std::uint64_t wrong_values() {
    std::uint64_t wrong = 0;
    weight_.for_each([&](float v, std::uint64_t place) { wrong += v != value(step_, place); });
    moment_.for_each([&](float v, std::uint64_t place) { wrong += v != value(step_, place + 1); });
    return wrong;
  }

  cairn::CheckpointSettings settings(cairn::Listener& listener) const {
    cairn::CheckpointSettings settings{.save_checkpoint_steps = options_.save_every,
                                       .async_save = options_.asynchronous,
                                       .enc_key = cairn::Key::from_hex(options_.key),
                                       .crc_check = options_.crc,
                                       .exception_save = options_.stop_in == 0,
                                       .exception_save_timeout =
                                           std::chrono::seconds(options_.timeout),
                                       .listener = &listener};
    settings.write.deadline = std::chrono::seconds(options_.deadline);
    if (options_.stop_in > 0) {
      settings.stop_before =
          std::chrono::system_clock::now() + std::chrono::seconds(options_.stop_in);
    }
    return settings;
  }

  void train(Stopper& stopper, nlohmann::json& verdict) {
    cairn::ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", options_.directory, settings(stopper));
    if (const auto restored = checkpoint.restore(state_)) {
      verdict["restored"] = {{"step", restored->step},
                             {"name", restored->path.filename().string()},
                             {"wrong", wrong_values() + (step_ == restored->step ? 0U : 1U)}};
      for (const auto& one : restored->skipped) {
        verdict["restored"]["skipped"].push_back(one.path.filename().string());
      }
    }
    stopper.loading = false;
    checkpoint.guard(state_, [&] {
      while (step_ < options_.steps) {
        const std::uint64_t next = step_ + 1;
        note_step(next);
        fail_before_the_gradients(next);
        add_gradients();
        if (!options_.unmarked) checkpoint.before_update();
        set_values(next);
        if (options_.fail == "throw-updating" && next == options_.at) {
          throw std::runtime_error("in the middle of an update");
        }
        if (checkpoint.step_end(step_, state_) == cairn::Next::stop) break;
        if (options_.fail == "throw-all" && step_ == options_.at) {
          throw std::runtime_error("on all ranks");
        }
      }
    });
    checkpoint.end(step_, state_);
    verdict["latest"] = checkpoint.latest() ? checkpoint.latest()->filename().string() : "";
  }

  void note_step(std::uint64_t step) const {
    std::this_thread::sleep_for(std::chrono::milliseconds(options_.step_ms));  // the computing
    if (step != options_.at) return;
    std::ofstream(options_.verdicts + "/at." + std::to_string(rank_)) << ::getpid();
  }

  void fail_before_the_gradients(std::uint64_t step) const {
    if (step != options_.at) return;
    if (options_.fail == "signal-from-outside") return;
    if (rank_ != kVictim) return;
    if (options_.fail == "throw") throw std::runtime_error("on rank 2 alone");
    if (options_.fail == "kill") ::raise(SIGKILL);
    if (options_.fail == "term") ::raise(SIGTERM);
  }

  /// As a program's own collectives should: with a limit to its patience.
  void add_gradients() const {
    double mine = rank_;
    double sum = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, &request);
    const auto end = Clock::now() + std::chrono::seconds(options_.timeout / 2);
    for (int done = 0; done == 0;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (Clock::now() > end) throw std::runtime_error("a rank does not send its gradients");
      std::this_thread::yield();
    }
  }

  const Options& options_;
  int rank_ = 0;
  int ranks_ = 1;
  Part weight_;
  Part moment_;
  std::uint64_t step_ = 0;
  cairn::State state_;
};

Options parse(int argc, char** argv) {
  CLI::App app{"A training loop that goes wrong"};
  Options options;
  app.add_option("--dir", options.directory)->required();
  app.add_option("--verdicts", options.verdicts)->required();
  app.add_option("--fail", options.fail);
  app.add_option("--phase", options.phase);
  app.add_option("--at", options.at);
  app.add_option("--steps", options.steps);
  app.add_option("--save-every", options.save_every);
  app.add_option("--deadline", options.deadline);
  app.add_option("--timeout", options.timeout);
  app.add_option("--stop-in", options.stop_in);
  app.add_option("--step-ms", options.step_ms);
  app.add_option("--save-ms", options.save_ms);
  app.add_flag("--async", options.asynchronous);
  app.add_flag("--sharded", options.sharded);
  app.add_flag("--unmarked", options.unmarked);
  app.add_flag("--crc", options.crc);
  app.add_option("--key", options.key);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
  nlohmann::json verdict;
  {
    Trainer trainer(options);
    verdict = trainer.run();
  }
  const std::string name = options.verdicts + "/verdict." + std::to_string(verdict["rank"].get<int>());
  std::ofstream(name + ".part") << verdict;
  std::rename((name + ".part").c_str(), name.c_str());
  if (verdict["result"] == "ended") {
    MPI_Finalize();
    return 0;
  }
  // Ranks may be missing: neither MPI_Finalize nor, so that the others can tell, MPI_Abort.
  ::_exit(1);
}
