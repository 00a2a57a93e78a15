#include "tools/ranks.hpp"

#include <cstdlib>
#include <iostream>
#include <limits>
#include <optional>
#include <string_view>

#include "cairn/error.hpp"
#include "tools/exit_codes.hpp"
#include "tools/printable.hpp"

namespace cairn::tools {
namespace {

/// Once MPI was up.
std::optional<bool> is_rank_0;

/// A failure that no other rank knows of: they may wait for this one, so they are ended.
[[noreturn]] void end_all(int rank, std::string_view message) {
  std::cerr << "cairn: rank " << rank << ": " << printable(message) << std::endl;
  MPI_Abort(MPI_COMM_WORLD, kExitError);
  std::abort();
}

}  // namespace

bool speaks() noexcept {
  if (is_rank_0) return *is_rank_0;
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (const char* rank = std::getenv(name)) return std::string_view(rank) == "0";
  }
  return true;
}

Ranks::Ranks() {
  MPI_Comm_rank(comm(), &rank_);
  MPI_Comm_size(comm(), &size_);
  is_rank_0 = is_root();
}

void Ranks::agree(const std::function<void()>& step) const {
  std::optional<Error> mine;
  try {
    step();
  } catch (const Error& error) {
    mine = error;
  }
  constexpr int kNobody = std::numeric_limits<int>::max();
  int failed = mine ? rank_ : kNobody;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MIN, comm());
  if (failed == kNobody) return;
  unsigned char code = mine ? static_cast<unsigned char>(mine->code()) : 0;
  std::string text = failed == rank_ ? mine->what() : "";
  auto length = static_cast<int>(text.size());
  MPI_Bcast(&code, 1, MPI_UNSIGNED_CHAR, failed, comm());
  MPI_Bcast(&length, 1, MPI_INT, failed, comm());
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, failed, comm());
  throw Error(static_cast<ErrorCode>(code), text, failed);
}

std::string Ranks::from_root(std::string text) const {
  auto length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, comm());
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, 0, comm());
  return text;
}

void Ranks::gather_bytes(std::span<const std::byte> own, std::byte* all) const {
  const auto count = static_cast<int>(own.size());
  MPI_Gather(own.data(), count, MPI_BYTE, all, count, MPI_BYTE, 0, comm());
}

int Ranks::run(const std::function<int(const Ranks&)>& task) {
  MPI_Init(nullptr, nullptr);
  const Ranks ranks;
  try {
    const int code = task(ranks);
    MPI_Finalize();
    return code;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unresponsive) end_all(ranks.rank(), error.what());
    MPI_Finalize();
    throw;
  } catch (const UsageError&) {
    MPI_Finalize();
    throw;
  } catch (const std::exception& error) {
    end_all(ranks.rank(), error.what());
  }
}

}  // namespace cairn::tools
