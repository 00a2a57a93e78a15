// What the project promises of its speed, as figures that a comparison prints beside their bounds.
#include "compare_lines.hpp"

#include <algorithm>
#include <utility>

namespace bench {
namespace {

constexpr bool kAtLeast = true;
constexpr bool kAtMost = false;

class Lines {
 public:
  Lines(const Samples& samples, const Demands& demands) : samples_(samples), demands_(demands) {}

  std::vector<Line> all() {
    against_device();
    against_hand();
    beside_training();
    of_protection();
    of_plan();
    return std::move(lines_);
  }

 private:
  [[nodiscard]] bool has(const std::string& way) const { return samples_.contains(way); }
  [[nodiscard]] std::vector<double> seconds(const std::string& way) const {
    return seconds_of(samples_.at(way));
  }
  [[nodiscard]] bool is_large() const {
    return demands_.workload == "gpt2-adam" || demands_.workload == "llama-small";
  }
  [[nodiscard]] bool is(const char* workload) const { return demands_.workload == workload; }

  void add(std::string name, std::vector<double> values, std::optional<double> bound,
           bool at_least) {
    lines_.push_back({std::move(name), median_of(std::move(values)), bound, at_least});
  }

  /// Speed over the speed of a limit.
  void add_speed(const std::string& way, const std::string& limit, std::optional<double> bound) {
    if (!has(way) || !has(limit)) return;
    add(way + " ÷ " + limit, ratios(seconds(limit), seconds(way)), bound, kAtLeast);
  }

  void against_device() {
    const auto if_large = [&](double bound) {
      return is_large() || is("columns") ? std::optional(bound) : std::nullopt;
    };
    std::optional<double> sync;
    if (is_large()) sync = 0.90;
    if (is("columns")) sync = 0.75;
    if (demands_.in_memory) {
      add_speed("sync", "raw write", 0.8);
      add_speed("shards", "raw write", {});
    } else {
      add_speed("sync", "raw write", sync);
      add_speed("shards", "raw write", if_large(0.90));
    }
    add_speed("load", "raw read", demands_.in_memory ? std::nullopt : if_large(0.90));
    add_speed("resliced", "raw read", demands_.in_memory ? std::nullopt : if_large(0.75));
    for (const char* way : {"sync", "shards"}) add_speed(way, "copied write", {});
    for (const char* way : {"load", "resliced"}) add_speed(way, "copied read", {});
    add_speed("copied write", "raw write", {});
    add_speed("copied read", "raw read", {});
    add_speed("h5 collective", "raw write", {});
    add_speed("h5 independent", "raw write", {});
  }

  void against_hand() {
    const std::vector<double> best = best_by_hand(samples_);
    if (best.empty()) return;
    const bool is_hard = is("many-small") || is("columns");
    for (const char* way : {"sync", "shards"}) {
      if (!has(way)) continue;
      const auto bound = std::string(way) == "sync" ? std::optional(is_hard ? 3.0 : 1.5)
                                                    : std::nullopt;
      add(std::string(way) + " ÷ best parallel HDF5", ratios(best, seconds(way)),
          demands_.in_memory ? std::nullopt : bound, kAtLeast);
    }
  }

  void beside_training() {
    const auto add_own = [&](const std::string& way, const std::string& limit, double bound) {
      if (!has(way)) return;
      std::vector<double> values;
      for (const Sample& sample : samples_.at(way)) values.push_back(sample.seconds / sample.against);
      add(way + ": stall ÷ " + limit, std::move(values),
          is_large() || is("columns") ? std::optional(bound) : std::nullopt, kAtMost);
    };
    add_own("async", "memcpy", 1.2);
    add_own("lazy", "total", 0.02);
  }

  /// Time over that of a plain save; and what the processors work for a gigabyte, beyond its work.
  void of_protection() {
    const auto add_both = [&](const std::string& way, std::optional<double> bound,
                              std::optional<double> processor) {
      if (!has(way) || !has("sync")) return;
      add(way + " time ÷ sync", ratios(seconds(way), seconds("sync")),
          demands_.in_memory || !is_large() ? std::nullopt : bound, kAtMost);
      std::vector<double> work;
      const auto& plain = samples_.at("sync");
      const auto& mine = samples_.at(way);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        work.push_back((mine[i].processor - plain[i].processor) / demands_.gigabytes);
      }
      add(way + ": more CPU s per GB", std::move(work), is_large() ? processor : std::nullopt,
          kAtMost);
    };
    add_both("crc", 1.03, 0.12);
    add_both("aes-gcm", 1.06, 0.25);
    add_both("aes-cbc", {}, {});
    add_both("sm4-cbc", {}, {});
  }

  void of_plan() {
    if (!has("sync")) return;
    std::vector<double> milliseconds;
    for (const Sample& sample : samples_.at("sync")) milliseconds.push_back(sample.planning * 1e3);
    add("plan and head, used again: ms", std::move(milliseconds),
        is("many-small") ? std::optional(10.0) : std::nullopt, kAtMost);
  }

  const Samples& samples_;
  const Demands& demands_;
  std::vector<Line> lines_;
};

}  // namespace

std::vector<Line> lines_of(const Samples& samples, const Demands& demands) {
  return Lines(samples, demands).all();
}

std::vector<double> best_by_hand(const Samples& samples) {
  std::vector<double> best;
  for (const char* way : {"h5 collective", "h5 independent"}) {
    const auto at = samples.find(way);
    if (at == samples.end()) continue;
    const std::vector<double> seconds = seconds_of(at->second);
    if (best.empty()) best = seconds;
    std::ranges::transform(best, seconds, best.begin(),
                           [](double a, double b) { return std::min(a, b); });
  }
  return best;
}

std::vector<double> ratios(const std::vector<double>& numerator,
                           const std::vector<double>& denominator) {
  std::vector<double> values;
  for (std::size_t i = 0; i < std::min(numerator.size(), denominator.size()); ++i) {
    values.push_back(numerator[i] / denominator[i]);
  }
  return values;
}

std::vector<double> seconds_of(const std::vector<Sample>& samples) {
  std::vector<double> seconds;
  for (const Sample& sample : samples) seconds.push_back(sample.seconds);
  return seconds;
}

}  // namespace bench
