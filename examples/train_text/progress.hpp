#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cairn/cairn.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "options.hpp"
#include "ranks.hpp"

/// What rank 0 tells; the other ranks are silent. It listens to the checkpoints to tell of them,
/// and on every rank it kills the process where the options say so.
class Progress : public cairn::Listener {
 public:
  /// Collective. Throws std::invalid_argument, on all ranks, for a loss log that does not open.
  Progress(const Options& options, int rank) : options_(options), speaks_(rank == 0) {
    const bool logs = speaks_ && !options.loss_log.empty();
    if (logs) loss_log_.open(options.loss_log, std::ios::app);
    if (!told_by_rank_0(!logs || loss_log_.is_open())) {
      throw std::invalid_argument("cannot append to the loss log '" + options.loss_log + "'");
    }
    loss_log_ << std::hexfloat;                     // exact to the bit
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a killed process loses what is buffered
  }

  void start(const cairn::Mesh& mesh, std::size_t text_bytes,
             const std::optional<cairn::Restored>& restored) {
    since_ = Clock::now();
    if (!speaks_) return;
    std::printf("text       %s, %zu bytes\n", options_.text.c_str(), text_bytes);
    std::printf("ranks      %ju data parallel x %ju tensor parallel\n", mesh.device_matrix[0],
                mesh.device_matrix[1]);
    if (restored) {
      std::printf("restored   %s: step %ju, %ju tensors, %.0f kB in %.1f ms\n",
                  restored->path.filename().c_str(), restored->step, restored->tensors,
                  static_cast<double>(restored->bytes_needed) / 1e3, restored->seconds * 1e3);
      for (const cairn::Skipped& one : restored->skipped) {
        std::printf("           passed over %s: %s\n", one.path.filename().c_str(),
                    one.reason.c_str());
      }
    } else {
      std::printf("restored   nothing: no checkpoint in %s\n", options_.directory.c_str());
    }
    std::printf("\n  step    loss  bits/byte  %24s  guesses/s\n", "");
  }

  /// `guesses`: how many bytes were predicted to get `loss`. Lines show means since the last one.
  void step(std::uint64_t step, double loss, std::size_t guesses) {
    if (loss_log_.is_open()) loss_log_ << step << ' ' << loss << std::endl;
    loss_sum_ += loss;
    steps_ += 1;
    guesses_ += guesses;
    const bool due = step == 1 || step % options_.show_every == 0 || step == options_.steps;
    if (!speaks_ || !due) return;
    const std::chrono::duration<double> took = Clock::now() - since_;
    const std::string committed = take_committed();
    const double mean = loss_sum_ / static_cast<double>(steps_);
    std::printf("%6ju  %6.3f  %9.3f  %s  %9.0f%s%s\n", step, mean, mean / std::numbers::ln2,
                bar(mean / std::log(256)).c_str(), static_cast<double>(guesses_) / took.count(),
                committed.empty() ? "" : "  saved ", committed.c_str());
    loss_sum_ = 0;
    steps_ = guesses_ = 0;
    since_ = Clock::now();
  }

  void end(const std::optional<std::filesystem::path>& newest, const std::string& start,
           const std::string& written) const {
    if (!speaks_) return;
    if (newest) std::printf("\nnewest     %s\n", newest->c_str());
    std::printf("wrote      | %s\n", printable("[" + start + "]" + written).c_str());
  }

  void phase(const cairn::Event& event, cairn::Phase phase) override {
    if (!options_.kill_at || event.step != options_.kill_at->step) return;
    if (phase == options_.kill_at->phase) kill(getpid(), SIGKILL);
  }
  void committed(const cairn::Event& event) override {
    const std::lock_guard lock(mutex_);  // an asynchronous save tells it from its own thread
    committed_ = event.path.filename();
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string take_committed() {
    const std::lock_guard lock(mutex_);
    return std::exchange(committed_, {});
  }

  /// 24 characters, filled to that fraction, to an eighth of a character.
  static std::string bar(double fraction) {
    static constexpr std::array kEighths{" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    const long eighths = std::lround(fraction * 24 * 8);
    std::string text;
    for (long i = 0; i < 24; ++i) text += kEighths[std::clamp(eighths - i * 8, 0L, 8L)];
    return text;
  }

  /// Lines with a margin; what is not ASCII as dots.
  static std::string printable(std::string_view text) {
    std::string shown;
    for (const char c : text) {
      if (c == '\n') shown += "\n           | ";
      if (c != '\n') shown += c >= ' ' && c <= '~' ? c : '.';
    }
    return shown;
  }

  const Options& options_;
  bool speaks_;
  std::ofstream loss_log_;
  std::mutex mutex_;
  std::string committed_;  // since the last line, as is what follows
  double loss_sum_ = 0;
  std::uint64_t steps_ = 0, guesses_ = 0;
  Clock::time_point since_;
};
