#include <charconv>
#include <cstdlib>
#include <string_view>

#include "cairn/config.hpp"
#include "cairn/error.hpp"

namespace cairn {

std::optional<Time> batch_job_end() {
  constexpr const char* kVariable = "SLURM_JOB_END_TIME";
  const char* const text = std::getenv(kVariable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  constexpr auto kMost =
      std::chrono::duration_cast<std::chrono::seconds>(Time::max().time_since_epoch()).count();
  if (error != std::errc{} || end != digits.data() + digits.size() || seconds < 0 ||
      seconds > kMost) {
    throw Error(ErrorCode::invalid_argument,
                std::string(kVariable) + " is \"" + std::string(digits.substr(0, 40)) +
                    "\"; expected seconds since 1970");
  }
  return Time(std::chrono::seconds(seconds));
}

}  // namespace cairn
