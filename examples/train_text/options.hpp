#pragma once

#include <algorithm>
#include <cairn/listener.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct KillPoint {
  std::uint64_t step;
  cairn::Phase phase;
};

struct Options {
  std::string text = "/usr/share/common-licenses/GPL-3";
  std::string directory = "checkpoints";
  std::string loss_log;
  std::string save_log;
  bool asynchronous = false;
  std::uint64_t steps = 400;
  std::uint64_t save_every = 50;
  std::uint64_t show_every = 20;
  std::optional<KillPoint> kill_at;
};

inline constexpr const char* kUsage =
    R"(usage: mpirun -n RANKS train_text [option value]...
  --text FILE           what to learn                                        (the GPL)
  --dir DIRECTORY       where checkpoints are; goes on from the newest   (checkpoints)
  --steps N             train until this step                                    (400)
  --save-every K        steps between checkpoints                                 (50)
  --show-every K        steps between lines of progress                           (20)
  --saves sync|async    whether training goes on while a checkpoint is written    (sync)
  --save-log FILE       append the events of each save, a JSON object a line
  --loss-log FILE       append step and loss of each step, exact to the bit
  --kill-at STEP:PHASE  die of SIGKILL in that phase of the save of that step: planning,
                        capturing, reserving, moving, syncing, completing, publishing or retaining
)";

inline std::uint64_t parse_count(const std::string& option, std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n == 0 || n >> 62U != 0) {
    throw std::invalid_argument(option + " takes a positive number, not '" + std::string(text) +
                                "'");
  }
  return n;
}

inline KillPoint parse_kill_point(const std::string& option, const std::string& text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  for (std::size_t i = 0; i < cairn::kPhaseCount; ++i) {
    const auto phase = static_cast<cairn::Phase>(i);
    if (colon < text.size() && text.substr(colon + 1) == to_string(phase)) {
      return {parse_count(option, text.substr(0, colon)), phase};
    }
  }
  throw std::invalid_argument(option + " takes STEP:PHASE, not '" + text + "'");
}

/// Throws std::invalid_argument that says what is wrong.
inline Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--text")
      options.text = value;
    else if (name == "--dir")
      options.directory = value;
    else if (name == "--steps")
      options.steps = parse_count(name, value);
    else if (name == "--save-every")
      options.save_every = parse_count(name, value);
    else if (name == "--show-every")
      options.show_every = parse_count(name, value);
    else if (name == "--loss-log")
      options.loss_log = value;
    else if (name == "--save-log")
      options.save_log = value;
    else if (name == "--saves" && (value == "sync" || value == "async"))
      options.asynchronous = value == "async";
    else if (name == "--kill-at")
      options.kill_at = parse_kill_point(name, value);
    else
      throw std::invalid_argument("unknown option '" + name + "'");
    if (value.empty()) throw std::invalid_argument(name + " takes a value");
  }
  return options;
}
