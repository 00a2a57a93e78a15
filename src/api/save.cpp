#include "cairn/save.hpp"

#include <numeric>

#include "coord/foreign_loader.hpp"
#include "coord/loader.hpp"
#include "coord/saver.hpp"
#include "coord/together.hpp"
#include "policy/resolution.hpp"

namespace cairn {

double SaveReport::total_seconds() const noexcept {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

SaveReport save(MPI_Comm comm, const std::filesystem::path& path, const State& state,
                const SaveOptions& options) {
  coord::Saver saver(comm, options);
  coord::run_together(saver.comm(), [&] { policy::check(options); });
  coord::Saver::Request request;
  request.path = path;
  request.record.step = options.step;
  request.record.epoch = 1;
  request.record.step_in_epoch = options.step;
  request.record.run_id = options.run_id;
  request.record.saved_at = options.saved_at.value_or(std::chrono::system_clock::now());
  const auto kind =
      options.integrated_save ? coord::Saver::Kind::integrated : coord::Saver::Kind::shards;
  return saver.save(state, request, kind, options.listener);
}

LoadReport load(MPI_Comm comm, const std::filesystem::path& path, State& state,
                const LoadOptions& options) {
  const coord::Comm own(comm, options.deadline);
  coord::run_together(own, [&] { policy::check_deadline(options.deadline); });
  if (coord::is_foreign(own, path)) return coord::load_foreign(own, path, state, options);
  return coord::load_checkpoint(own, path, state, options);
}

}  // namespace cairn
