// What a rank does that left the training loop without the others: it writes the boxes that it holds
// into a file of its own. From then on nobody can be asked, so what the file must say (where, of which
// series, what all ranks together hold) is learnt while all still talk, in the first step and whenever
// the structure is another.
#include <algorithm>
#include <string>

#include "api/run.hpp"
#include "base/append_entries.hpp"
#include "coord/save_plan.hpp"
#include "coord/together.hpp"
#include "policy/append_info.hpp"
#include "storage/lone_shard.hpp"

namespace cairn {

/// Collective. Opens the series, too: a rank that is left alone could not. Where that fails and saves
/// may, it is for the next step to try.
void Run::prepare_to_be_alone(std::uint64_t step, const State& state) {
  try {
    learn_to_be_alone(step, state);
  } catch (const Error& error) {
    if (!is_passed_over(error)) throw;
  }
}

void Run::learn_to_be_alone(std::uint64_t step, const State& state) {
  const coord::Saver::Job job = job_for(step, state, storage::CheckpointKind::breakpoint);
  Alone alone{.last = coord::agree_on(*comm_, job.request), .structure = {}};
  --alone.last.record.sequence;  // nothing has it yet
  note_structure(alone);
  alone_ = std::move(alone);
}

/// Collective. Of `entries_`.
void Run::note_structure(Alone& alone) {
  const std::uint64_t block_bytes = settings().write.block_bytes;
  std::vector<plan::Claim> claims;
  codec::Digest digest{};
  coord::run_together(*comm_, [&] {
    claims = plan::describe(entries_);
    digest = coord::digest_of(entries_, block_bytes);
  });
  alone.structure = coord::agree_on_structure(*comm_, claims, block_bytes);
  alone.claims = digest;  // the two belong together
}

/// Local. Whatever fails is told to the listener.
void Run::save_alone(const State& state) noexcept {
  if (nothing_is_new()) return;
  if (standing_.updating) return tell_not_saved("values were being updated");
  if (!alone_) return tell_not_saved("no step of this run was complete");
  const State& saved = settings().saved_network ? *settings().saved_network : state;
  if (!saved.maps().empty()) return tell_not_saved("MapParameters are saved by all ranks only");
  bool is_told = false;  // the Saver tells of its own errors
  const auto failed = coord::attempt([&] {
    const State entries = with_append_info(
        saved, policy::with_counters(config_.append_dict(), standing_.step,
                                     settings().steps_per_epoch));
    const coord::Saver::Job job = lone_job(entries);
    is_told = true;
    lone_saver_->save(job);
    lone_saver_->rest();
  });
  if (failed && !is_told) tell_not_saved(failed->what());
}

/// Collective. What ranks saved alone, all at the same step, has a sequence number of its own then, and
/// is there to be restored by this object, too.
void Run::take_number() {
  rest_together();  // all files are there, and nothing else is about the series
  coord::run_on_root(*comm_, [&] { series_->saved_alone(); });
  if (alone_) ++alone_->last.record.sequence;
}

/// Of a state with what is appended to it.
coord::Saver::Job Run::lone_job(const State& entries) const {
  storage::LoneMark mark{
      .rank = static_cast<std::uint64_t>(rank_),
      .ranks = static_cast<std::uint64_t>(comm_->size()),
      .structure = alone_->structure.digest,
      .updates_marked = is_sure()};
  plan::check_entries(entries);
  const auto claims = coord::digest_of(entries, settings().write.block_bytes);
  if (claims != alone_->claims) mark.structure = {};  // nobody knows what it is a part of
  coord::SaveRequest request{{}, lone_record()};
  storage::put_mark(mark, request.record);
  request.path = alone_->last.path.parent_path() /
                 policy::format(policy::LoneName{.series = request.record.series,
                                                 .epoch = request.record.epoch,
                                                 .step_in_epoch = request.record.step_in_epoch,
                                                 .rank = mark.rank,
                                                 .ranks = mark.ranks,
                                                 .sealed = protection().sealed()});
  coord::Saver::Job job{.state = entries, .request = std::move(request)};
  job.kind = coord::SaveKind::lone;
  job.listener = settings().listener;
  job.lone_block_bytes = alone_->structure.block_bytes;
  job.lone_rank = rank_;
  return job;
}

storage::Record Run::lone_record() const {
  storage::Record record = alone_->last.record;
  record.step = standing_.step;
  const auto at = policy::epoch_step(record.step, record.steps_per_epoch);
  record.epoch = at.epoch;
  record.step_in_epoch = at.step_in_epoch;
  record.sequence = alone_->last.record.sequence + 1;
  record.saved_at = std::chrono::system_clock::now();
  record.kind = storage::CheckpointKind::breakpoint;
  record.required_features.clear();
  record.optional_features.clear();
  return record;
}

}  // namespace cairn
