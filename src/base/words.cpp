#include <array>
#include <numeric>

#include "cairn/config.hpp"
#include "cairn/error.hpp"
#include "cairn/listener.hpp"
#include "cairn/options.hpp"

namespace cairn {

std::string_view to_string(ErrorCode code) noexcept {
  constexpr std::array<std::string_view, 9> kWords{
      "invalid argument", "layout",    "mismatch", "not found", "damaged",
      "wrong key",        "no space",  "io",       "unresponsive"};
  return kWords[static_cast<std::size_t>(code)];
}

std::string_view to_string(Phase phase) noexcept {
  constexpr std::array<std::string_view, kPhaseCount> kWords{
      "planning", "capturing",  "reserving",  "moving",
      "syncing",  "completing", "publishing", "retaining"};
  return kWords[static_cast<std::size_t>(phase)];
}

std::string_view to_string(OnSaveFailure what) noexcept {
  constexpr std::array<std::string_view, 3> kWords{"fail", "skip", "make_room"};
  return kWords[static_cast<std::size_t>(what)];
}

std::string_view to_string(Writer writer) noexcept {
  constexpr std::array<std::string_view, 3> kWords{"direct", "hdf5", "mpiio"};
  return kWords[static_cast<std::size_t>(writer)];
}

}  // namespace cairn
