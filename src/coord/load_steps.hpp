#pragma once

#include <span>
#include <string>
#include <vector>

#include "cairn/error.hpp"
#include "coord/match.hpp"

namespace cairn::coord {

// What every load does, wherever the values come from.

/// Adds to every error that leaves a step before any value moved what callers want to know.
template <class Step>
auto with_state_unchanged(Step&& step) {
  try {
    return step();
  } catch (const Error& error) {
    const std::string text = error.what();
    const bool said = text.find("(state unchanged)") != std::string::npos;
    throw Error(error.code(), said ? text : text + " (state unchanged)", error.rank());
  }
}

/// Collective. Throws the same `invalid_argument` everywhere where `options` make no sense or differ
/// over ranks.
void check_options(const Comm& comm, const LoadOptions& options);

/// Local. What this rank asks for; refuses what cannot be written to.
std::vector<plan::Claim> claims_to_fill(const State& state);

/// Local. Adds what a map asks for of a file that has so many entries of it; the map's own reader fetches
/// their values.
void add_map_claims(const State::Map& map, std::uint64_t entries,
                    std::vector<plan::Claim>& claims);

/// Collective. Fills in what does not depend on where the values come from.
void report_match(const Comm& comm, std::span<const plan::Claim> claims,
                  std::span<const TensorInfo> stored, const Match& match, LoadReport& report);

}  // namespace cairn::coord
