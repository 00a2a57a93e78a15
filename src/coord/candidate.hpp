#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>

#include "cairn/error.hpp"
#include "coord/comm.hpp"
#include "storage/directory.hpp"

namespace cairn::coord {

/// A checkpoint that a restart may be made from, as all ranks know it.
struct Candidate {
  std::filesystem::path path;
  std::optional<Error> problem;  ///< known before it is opened
  bool is_lone = false;          ///< what ranks saved alone
};

/// Collective. Rank 0's i-th of `found`, which the others need not have; nothing after the last.
std::optional<Candidate> share_candidate(const Comm& comm, std::span<const storage::Found> found,
                                         std::size_t i);

}  // namespace cairn::coord
