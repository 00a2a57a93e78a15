#include "coord/candidate.hpp"

namespace cairn::coord {

std::optional<Candidate> share_candidate(const Comm& comm, std::span<const storage::Found> found,
                                         std::size_t i) {
  WireWriter writer;
  if (comm.rank() == 0 && i < found.size()) {
    const storage::Found& one = found[i];
    writer.put_text(one.path.string()).put(one.is_lone).put(one.problem.has_value());
    if (one.problem) writer.put(one.problem->code()).put_text(one.problem->what());
  }
  const Bytes told = comm.broadcast(writer.take());
  if (told.empty()) return std::nullopt;
  WireReader reader(told);
  Candidate candidate{.path = reader.get_text(), .problem = std::nullopt};
  candidate.is_lone = reader.get<bool>();
  if (reader.get<bool>()) {
    const auto code = reader.get<ErrorCode>();
    candidate.problem.emplace(code, reader.get_text());
  }
  return candidate;
}

}  // namespace cairn::coord
