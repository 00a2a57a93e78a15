#include "coord/farewell.hpp"

#include <array>
#include <memory>
#include <utility>

#include "coord/forsake.hpp"
#include "coord/together.hpp"

namespace cairn::coord {

std::optional<Farewell::Meeting> Farewell::meet(const Standing& mine,
                                                std::chrono::seconds timeout) {
  comm_->refuse_if_broken();
  using Values = std::array<std::uint64_t, 5>;
  // Of the steps the greatest and the complement of the least.
  auto greatest = std::make_unique<Values>(
      Values{mine.step, ~mine.step, mine.broken ? 1U : 0U, mine.updating ? 1U : 0U,
             mine.unsure ? 1U : 0U});
  MPI_Request request = MPI_REQUEST_NULL;
  Comm::check(MPI_Iallreduce(MPI_IN_PLACE, greatest->data(), 5, MPI_UINT64_T, MPI_MAX,
                             comm_->handle(), &request),
              "MPI_Iallreduce");
  bool came = false;
  const auto failed = attempt([&] { came = comm_->wait_for(request, timeout); });
  if (failed || !came) {
    forsake(std::move(greatest));  // MPI may still write into it
    stay_away();
    return std::nullopt;
  }
  // Who gave up in the very moment in which the last one came says so, and is not in this one.
  if (attempt([&] { all_of<std::int32_t>(*comm_, 0, MPI_MAX); })) {
    stay_away();
    return std::nullopt;
  }
  const auto& [step, rest, broken, updating, unsure] = *greatest;
  return Meeting{step == ~rest, broken != 0, updating != 0, unsure != 0};
}

void Farewell::stay_away() {
  comm_->take_leave("did not wait any longer");
  comm_->give_up();
}

}  // namespace cairn::coord
