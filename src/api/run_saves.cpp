// One save of a run: what it is called, how it begins and ends, and what is done where it fails.
#include <algorithm>
#include <numeric>
#include <utility>

#include "api/run.hpp"
#include "base/append_entries.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"
#include "policy/append_info.hpp"

namespace cairn {

using storage::CheckpointKind;

/// Collective. Tries again for as long as room can be made.
template <class Save>
auto Run::in_room(Save&& save) {
  for (;;) {
    try {
      return save();
    } catch (const Error& error) {
      if (!make_room_after(error)) throw;
    }
  }
}

/// Collective. A save that the policy wants at this step.
void Run::save_due(std::uint64_t step, const State& state) {
  coord::check_same_call(*comm_, coord::Call::save, step);
  if (flight_) static_cast<void>(land_or_pass_over(true));  // here comes the next in any case
  try {
    if (settings().async_save) {
      in_room([&] { take_off(step, state); });
    } else {
      save_in_room(step, state, {});
    }
  } catch (const Error& error) {
    if (!is_passed_over(error)) throw;
    pass_over(step);
  }
}

/// Whether a periodic save that failed by this is no reason to stop training. What is not found in a
/// save is a directory or a file of its own that was there before.
bool Run::is_passed_over(const Error& error) const {
  return settings().on_save_failure == OnSaveFailure::skip &&
         (error.code() == ErrorCode::no_space || error.code() == ErrorCode::io ||
          error.code() == ErrorCode::not_found);
}

/// Collective. The triggers count as if it had worked.
void Run::pass_over(std::uint64_t step) {
  passed_over_ = step;
  coord::run_on_root(*comm_, [&] { last_save_ = series_->now(); });
}

/// Collective. False: it failed without space, which there is more of now, and is to be made again.
bool Run::land_or_pass_over(bool waits) {
  const std::uint64_t step = last_saved_step_;
  try {
    land(waits);
  } catch (const Error& error) {
    if (is_passed_over(error)) {
      pass_over(step);
    } else if (make_room_after(error)) {
      return false;
    } else {
      throw;
    }
  }
  return true;
}

/// Collective. Whether `error` was about space and there is more of it now.
bool Run::make_room_after(const Error& error) {
  if (settings().on_save_failure != OnSaveFailure::make_room ||
      error.code() != ErrorCode::no_space) {
    return false;
  }
  saver_.rest();
  bool dropped = false;
  coord::run_on_root(*comm_, [&] { dropped = series_->drop_oldest(); });
  return coord::all_of<std::int32_t>(*comm_, dropped ? 1 : 0, MPI_MAX) == 1;
}

SaveReport Run::save_in_room(std::uint64_t step, const State& state, CheckpointKind kind) {
  return in_room([&] { return save_now(step, state, kind); });
}

/// Collective. What to save under which name; only rank 0's request counts.
coord::Saver::Job Run::job_for(std::uint64_t step, const State& trained, CheckpointKind kind) {
  const State& state = settings().saved_network ? *settings().saved_network : trained;
  saver_.wait_cleaned();  // what it does afterwards is about the series, too
  const bool as_it_is = !settings().async_save && !settings().exception_save &&
                        config_.append_dict().entries().empty();
  coord::Saver::Job job{.state = as_it_is ? state : entries_, .request = {}};
  const auto prepare = [&] {
    if (!as_it_is) {
      entries_ = with_append_info(
          state, policy::with_counters(config_.append_dict(), step, settings().steps_per_epoch));
    }
    if (series_) job.request = series_->next(step, kind);
  };
  try {
    coord::run_together(*comm_, prepare, coord::Blame::nobody);
  } catch (const Error& error) {
    const Event event{.path = {}, .step = step, .rank = rank_};
    coord::tell(settings().listener, [&](Listener& it) { it.failed(event, error); });
    throw;
  }
  job.kind = settings().integrated_save ? coord::SaveKind::integrated : coord::SaveKind::shards;
  job.listener = settings().listener;
  job.incremental = settings().incremental;
  job.afterwards = [this](const coord::SaveRequest& agreed, const SaveReport& report) {
    retain(agreed, report);
  };
  return job;
}

SaveReport Run::save_now(std::uint64_t step, const State& state, CheckpointKind kind) {
  const auto begin = Clock::now();
  const coord::Saver::Job job = job_for(step, state, kind);
  SaveReport report = saver_.save(job);
  last_saved_step_ = step;
  last_save_ = job.request.record.saved_at;
  accept(report, begin);
  note_request();
  return report;
}

/// Collective where the structure is another than before. What was saved now is what a rank that is
/// left alone goes by.
void Run::note_request() {
  if (!alone_) return;
  alone_->last = saver_.last_request();
  if (saver_.take_structure_news()) note_structure(*alone_);
}

void Run::take_off(std::uint64_t step, const State& state) {
  const coord::Saver::Job job = job_for(step, state, {});
  saver_.start(job, {settings().lazy_capture, settings().check_capture});
  flight_ = Flight{std::exchange(last_saved_step_, step),
                   std::exchange(last_save_, job.request.record.saved_at)};
  note_request();
}

/// Collective. The save in flight, if there is one, has ended; its error is returned where all ranks
/// have it, and thrown where a rank does not answer.
std::optional<Error> Run::land_if_flying() {
  if (!flight_) return std::nullopt;
  auto failed = coord::attempt([&] { land(true); });
  if (failed && failed->code() == ErrorCode::unresponsive) throw Error(*failed);
  return failed;
}

/// Collective. The save in flight is committed, or its error is thrown.
void Run::land(bool waits) {
  const Flight flight = *std::exchange(flight_, std::nullopt);
  try {
    accept(saver_.finish(waits), std::nullopt);
  } catch (const Error&) {
    last_saved_step_ = flight.saved_before;
    last_save_ = flight.time_before;
    throw;
  }
}

/// `begin`: of a save that was waited for. One in flight took what its phases took: it may have been
/// done long before somebody asked.
void Run::accept(const SaveReport& report, std::optional<Clock::time_point> begin) {
  latest_ = report.path;
  last_report_ = report;
  const double phases = std::reduce(report.seconds.begin(), report.seconds.end());
  limit_.saw_save(begin ? Clock::now() - *begin : std::chrono::duration<double>(phases));
}

/// Local, perhaps in the background. The new checkpoint is durable on all ranks; rank 0 may delete.
void Run::retain(const coord::SaveRequest& agreed, const SaveReport& report) {
  const Event event{.path = report.path,
                    .step = agreed.record.step,
                    .sequence = agreed.record.sequence,
                    .bytes = report.file_bytes,
                    .rank = rank_};
  coord::tell(settings().listener, [&](Listener& it) { it.phase(event, Phase::retaining); });
  if (series_) series_->retain(agreed, saver_.trash());
}

}  // namespace cairn
