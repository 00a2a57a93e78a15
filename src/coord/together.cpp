#include "coord/together.hpp"

#include <exception>
#include <limits>
#include <new>
#include <string>

namespace cairn::coord {

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::io, "out of memory"};
  } catch (const std::exception& error) {
    return {ErrorCode::io, error.what()};
  } catch (...) {
    return {ErrorCode::io, "an exception of unknown type"};
  }
}

void settle(const Comm& comm, const std::optional<Error>& mine, Blame blame) {
  constexpr std::int32_t kNobody = std::numeric_limits<std::int32_t>::max();
  const std::int32_t failed = all_of<std::int32_t>(comm, mine ? comm.rank() : kNobody, MPI_MIN);
  if (failed == kNobody) return;
  WireWriter writer;
  if (comm.rank() == failed) {
    const bool attribute = blame == Blame::thrower && mine->rank() == Error::kNoRank;
    const std::string prefix =
        attribute && comm.size() > 1 ? "rank " + std::to_string(failed) + ": " : "";
    writer.put(mine->code())
        .put(attribute ? failed : mine->rank())
        .put_text(prefix + mine->what());
  }
  const Bytes bytes = comm.broadcast(writer.take(), failed);
  WireReader reader(bytes);
  const auto code = reader.get<ErrorCode>();
  const auto rank = reader.get<int>();
  throw Error(code, reader.get_text(), rank);
}

}  // namespace cairn::coord
