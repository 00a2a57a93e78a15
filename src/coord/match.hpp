#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"
#include "cairn/save.hpp"
#include "coord/comm.hpp"
#include "plan/claim.hpp"

namespace cairn::coord {

/// Which claims are filled from which tensors, and what does not fit. The lists are the same on all
/// ranks.
struct Match {
  /// Of each claim: its tensor's place in `stored`, or nothing where it is not loaded.
  std::vector<std::optional<std::size_t>> places;
  std::vector<std::string> missing;
  std::vector<std::string> extra;
  std::vector<std::string> different;
  std::vector<std::string> warnings;  ///< no reason to refuse: append_info that is not there
};

/// Local. The name in the file of what the state calls `name`; nothing where the filter leaves it
/// out.
std::optional<std::string> name_in_file(std::string_view name, const LoadOptions& options);

/// Collective. Looks the claims up in `stored`, which is sorted by key, by the rules of `options`;
/// judged over all ranks together. Nobody has to ask for append_info, and a file need not have it.
/// Where the rules are strict and anything does not fit, throws one `mismatch` on all ranks, which
/// lists it all. `where` is the file's path.
Match match(const Comm& comm, std::span<const plan::Claim> claims,
            std::span<const TensorInfo> stored, const LoadOptions& options,
            const std::string& where);

}  // namespace cairn::coord
