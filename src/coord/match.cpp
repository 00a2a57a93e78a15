#include "coord/match.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "cairn/error.hpp"

namespace cairn::coord {
namespace {

/// More than anybody reads, less than anybody's log can take.
constexpr std::size_t kMostListed = 100;

std::optional<std::size_t> find(std::span<const PlacedTensor> stored, const std::string& name) {
  const auto at = std::ranges::lower_bound(stored, name, {}, &PlacedTensor::name);
  if (at == stored.end() || at->name != name) return std::nullopt;
  return static_cast<std::size_t>(at - stored.begin());
}

std::string shape_and_type(const TensorInfo& tensor) {
  return std::string(to_string(tensor.dtype)) + " " + to_string(tensor.shape);
}

/// What is wrong, in order, each thing once however many ranks found it.
std::set<std::string> unite(const std::vector<Bytes>& from_ranks) {
  std::set<std::string> all;
  for (const Bytes& bytes : from_ranks) {
    for (WireReader reader(bytes); !reader.done();) all.insert(reader.get_text());
  }
  return all;
}

std::string list(const std::set<std::string>& problems, const std::string& where) {
  std::string text = "the state does not match " + where + " in " +
                     std::to_string(problems.size()) +
                     (problems.size() == 1 ? " tensor" : " tensors") + " (state unchanged)";
  std::size_t n = 0;
  for (const std::string& problem : problems) {
    if (n++ == kMostListed) {
      return text + "\n  … and " + std::to_string(problems.size() - kMostListed) + " more";
    }
    text += "\n  " + problem;
  }
  return text;
}

}  // namespace

std::vector<std::size_t> match_strictly(const Comm& comm, std::span<const plan::Claim> claims,
                                        std::span<const PlacedTensor> stored,
                                        const std::string& where) {
  WireWriter problems;
  std::vector<std::size_t> places;
  std::vector<std::uint8_t> asked_for(stored.size(), 0);
  for (const plan::Claim& claim : claims) {
    const TensorInfo& tensor = claim.tensor;
    const auto place = find(stored, tensor.name);
    if (!place) {
      problems.put_text("missing in the file: \"" + tensor.name + "\" " + shape_and_type(tensor));
      continue;
    }
    places.push_back(*place);
    asked_for[*place] = 1;
    if (static_cast<const TensorInfo&>(stored[*place]) != tensor) {
      problems.put_text("different: \"" + tensor.name + "\" is " + shape_and_type(stored[*place]) +
                        " in the file, " + shape_and_type(tensor) + " in the state");
    }
  }
  comm.allreduce(std::span<std::uint8_t>(asked_for), MPI_MAX);
  if (comm.rank() == 0) {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (asked_for[i] != 0) continue;
      problems.put_text("extra in the file: \"" + stored[i].name + "\" " +
                        shape_and_type(stored[i]));
    }
  }
  const std::vector<Bytes> from_ranks = comm.gather(problems.take());
  WireWriter verdict;
  if (comm.rank() == 0) {
    const std::set<std::string> all = unite(from_ranks);
    if (!all.empty()) verdict.put_text(list(all, where));
  }
  const Bytes told = comm.broadcast(verdict.take());
  if (!told.empty()) throw Error(ErrorCode::mismatch, WireReader(told).get_text());
  return places;
}

}  // namespace cairn::coord
