// The calls of a run: in what order the ranks vote, save and land. See run.hpp.
#include "api/run.hpp"

#include <array>
#include <utility>

#include "api/restore.hpp"
#include "base/append_entries.hpp"
#include "codec/seal.hpp"
#include "codec/sha256.hpp"
#include "coord/load_steps.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"
#include "policy/trigger.hpp"

namespace cairn {
namespace {

/// What all ranks must have in common, as a number.
std::uint64_t digest_of(const CheckpointConfig& config) {
  const CheckpointSettings& settings = config.settings();
  WireWriter writer;
  writer.put(settings.save_checkpoint_steps.value())
      .put(settings.save_checkpoint_seconds.value())
      .put(settings.steps_per_epoch)
      .put(settings.integrated_save)
      .put(settings.crc_check)
      .put(settings.async_save)
      .put(settings.lazy_capture)
      .put(settings.check_capture)
      .put(settings.quarantine_damaged)
      .put(settings.incremental)
      .put(settings.exception_save)
      .put(settings.on_save_failure)
      .put(settings.stop_before.has_value())
      .put(settings.enc_mode)
      .put(codec::fingerprint(settings.enc_key))
      .put(settings.write.writer)
      .put(settings.write.block_bytes)
      .put(settings.write.durable);
  put_plain_values(writer, config.append_dict());
  const codec::Digest digest = codec::sha256(writer.take());
  return WireReader(digest).get<std::uint64_t>();
}

}  // namespace

Run::Run(MPI_Comm comm, Prefix prefix, Directory directory, CheckpointConfig config)
    : prefix_(std::move(prefix)),
      directory_(std::move(directory)),
      config_(std::move(config)),
      comm_(std::make_unique<coord::Comm>(comm, settings().write.deadline)),
      saver_(comm, settings().write, protection()) {
  vote_.emplace(*comm_);
  coord::check_same(*comm_, settings().saved_network != nullptr,
                    "saved_network, given or none,");
  coord::check_same(*comm_, digest_of(config_), "the settings");
  coord::run_on_root(*comm_, [&] {
    series_.emplace(prefix_, directory_, config_);
    last_save_ = series_->now();
    limit_ = policy::TimeLimit(settings().stop_before, last_save_);
  });
  step_begins();
  if (!settings().exception_save) return;
  farewell_ = std::make_unique<coord::Farewell>(comm, settings().write.deadline);
  WriteOptions by_itself = settings().write;
  by_itself.writer = Writer::direct;  // the others write together, or one file of all ranks
  lone_saver_ = std::make_unique<coord::Saver>(MPI_COMM_SELF, by_itself, protection());
  signals_.emplace();
}

/// A rank that did not answer will not answer elsewhere either: then the whole object is broken.
template <class Call>
auto Run::noting_errors(Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unresponsive) {
      if (error.rank() == rank_) tell_of_failure(error);
      break_off(comm_->was_left() ? End::left : End::unresponsive);
    }
    throw;
  }
}

/// This rank failed in the conversation of a save or load: nobody is to wait for it in another one.
void Run::tell_of_failure(const Error& error) {
  static_cast<void>(coord::attempt([&] {
    comm_->take_leave("makes no more calls: " + std::string(error.what()));
    if (farewell_) farewell_->stay_away();
  }));
}

/// A call at the end of `step`. What it throws leaves the values of that step as they are.
template <class Call>
auto Run::at_step(std::uint64_t step, Call&& call) {
  is_at(step);
  thrown_ = nullptr;
  try {
    return noting_errors(std::forward<Call>(call));
  } catch (...) {
    thrown_ = std::current_exception();
    throw;
  }
}

/// A call in the middle of a step, whose time is not the step's.
template <class Call>
auto Run::beside_the_step(Call&& call) {
  const auto since = Clock::now();
  auto result = noting_errors(std::forward<Call>(call));
  if (step_began_) *step_began_ += Clock::now() - since;
  return result;
}

Run::~Run() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return;
  if (comm_->is_broken()) {
    break_off(is_alone_ || comm_->was_left() ? End::left : End::unresponsive);
    saver_.rest();
    break_off(End::unresponsive);
    return;
  }
  // The listener has heard of a save in flight that fails.
  const auto failed = coord::attempt([&] {
    noting_errors([&] {
      vote_->complete();
      if (!flight_) return;
      hear_who_left();
      static_cast<void>(land_if_flying());
    });
  });
  saver_.rest();
  if (comm_->is_broken()) break_off(End::unresponsive);
  if (failed) coord::tell(settings().listener, [&](Listener& it) { it.failed({}, *failed); });
}

Next Run::step_end(std::uint64_t step, const State& state) {
  return at_step(step, [&] {
    comm_->refuse_if_broken();
    if (stopped_) return Next::stop;
    step_is_over();
    saver_.wait_captured();
    const auto answer = vote_->complete();
    if (answer && answer->stop != 0) stop_asked_ = answer->stop;
    // A save that fails ends no run by itself: whether to stop is asked in each step all the same.
    const auto failed = coord::attempt([&] { act_on(answer, step, state); });
    if (failed && (stopped_ || failed->code() == ErrorCode::unresponsive)) throw Error(*failed);
    if (stopped_) return Next::stop;
    vote();
    step_begins();
    if (failed) throw Error(*failed);
    return Next::go_on;
  });
}

/// Collective. Lands, stops or saves: what the ranks agreed on, and what is due.
void Run::act_on(const std::optional<coord::StepVote::Voice>& answer, std::uint64_t step,
                 const State& state) {
  const bool landed = flight_ && flight_->voted && answer && !answer->writing;
  if (landed) hear_who_left();
  const bool again = landed && !land_or_pass_over(false);
  if (answer && answer->failed) coord::settle(*comm_, std::exchange(failure_, std::nullopt));
  if (stop_asked_ != 0) {
    save_and_stop(step, state, std::exchange(stop_asked_, 0));
    return;
  }
  if (settings().exception_save && !alone_) prepare_to_be_alone(step, state);
  const bool time_is_up = answer && answer->due && !is_answered_;
  if (again || time_is_up || policy::steps_due(policy(), step, last_tried())) save_due(step, state);
}

void Run::end(std::uint64_t step, const State& state) {
  at_step(step, [&] {
    vote_->complete();
    coord::check_same_call(*comm_, coord::Call::end, step);
    // The last step is saved even where the save before it failed; but that is told too.
    const std::optional<Error> failed = land_if_flying();
    if (!is_saved(step)) {
      const auto failed_too = coord::attempt([&] { save_in_room(step, state, {}); });
      if (failed_too && failed) {
        throw Error(failed_too->code(), std::string(failed_too->what()) +
                                            "; the save before it had failed too: " + failed->what());
      }
      if (failed_too) throw Error(*failed_too);
    }
    rest_together();
    if (failed) throw Error(*failed);
  });
}

SaveReport Run::save(std::uint64_t step, const State& state) {
  return at_step(step, [&] {
    return beside_the_step([&] {
      coord::check_same_call(*comm_, coord::Call::save, step);
      if (flight_) land(true);
      is_answered_ = true;
      return save_in_room(step, state, {});
    });
  });
}

void Run::before_update() {
  saver_.wait_captured();
  standing_.marks_updates = standing_.updating = true;
}

/// Ranks look together, again and again, since each may be done, or out of time, at another moment.
bool Run::wait(std::chrono::milliseconds timeout) {
  return beside_the_step([&] {
    constexpr std::chrono::milliseconds kLook{50};
    coord::check_same_call(*comm_, coord::Call::wait, 0);
    const auto since = Clock::now();
    while (flight_) {
      const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since);
      const auto left = timeout > passed ? timeout - passed : std::chrono::milliseconds{0};
      const bool ready = saver_.wait_ready(std::min(left, kLook));
      std::array<std::int32_t, 2> any{ready ? 0 : 1, left.count() == 0 ? 1 : 0};
      comm_->allreduce(std::span<std::int32_t>(any), MPI_MAX);
      if (any[0] == 0) {
        land(true);
      } else if (any[1] != 0) {
        return false;
      }
    }
    rest_together();
    return true;
  });
}

std::optional<Restored> Run::restore(State& state, const LoadOptions& options,
                                     const std::optional<std::string>& series) {
  return beside_the_step([&]() -> std::optional<Restored> {
    coord::check_same_call(*comm_, coord::Call::restore, 0);
    if (flight_) land(true);
    is_answered_ = true;
    saver_.rest();
    const Standing before = standing_;
    standing_.updating = true;  // what a load that fails leaves behind is of no step
    try {
      const LoadOptions completed = completed_by_settings(options);
      coord::check_options(*comm_, completed);
      std::optional<Restored> restored;
      while (!restored && open_existing(series)) {
        restored = restore_newest({*comm_, root(), settings(), directory_.root()}, state, completed);
        if (restored) break;
        coord::run_on_root(*comm_, [&] { series_->pass_over(); });
      }
      if (!restored) {
        standing_ = before;
        return std::nullopt;
      }
      alone_.reset();  // it was about another series
      last_saved_step_ = restored->step;
      passed_over_ = 0;
      latest_ = restored->path;
      is_at(restored->step);
      coord::run_on_root(*comm_, [&] { last_save_ = series_->now(); });
      return restored;
    } catch (const Error&) {
      if (series_) series_->close_unused();
      throw;
    }
  });
}

/// Collective. Whether there is a series to restore; rank 0 has it open then.
bool Run::open_existing(const std::optional<std::string>& series) {
  bool found = false;
  coord::run_on_root(*comm_, [&] { found = series_->open_existing(series); });
  return coord::all_of<std::int32_t>(*comm_, found ? 1 : 0, MPI_MAX) == 1;
}

/// Collective. On return retention is done: rank 0 has deleted, and all know.
void Run::rest_together() {
  saver_.rest();
  static_cast<void>(coord::all_of<std::int32_t>(*comm_, 0, MPI_MAX));
}

/// The settings say how checkpoints are protected and what is appended, where the options do not.
LoadOptions Run::completed_by_settings(LoadOptions options) const {
  if (options.enc_key.empty() && !settings().enc_key.empty()) {
    options.enc_key = settings().enc_key;
    options.enc_mode = settings().enc_mode;
  }
  if (options.listener == nullptr) options.listener = settings().listener;
  options.crc_check = options.crc_check || settings().crc_check;
  if (options.append_info.empty()) options.append_info = config_.append_dict();
  return options;
}

/// Collective, but does not wait; nothing where nobody has to hear anything.
void Run::vote() {
  if (!flight_ && !policy::needs_reduction(settings())) return;
  coord::StepVote::Voice voice;
  if (signals_) voice.stop = coord::SignalWatch::caught();
  const auto error = coord::attempt([&] {
    if (!series_) return;
    voice.due = policy::seconds_due(policy(), series_->now(), last_save_);
    if (!settings().stop_before || voice.stop != 0) return;
    const Time now = series_->now();
    const auto next_step = now + std::chrono::duration_cast<Time::duration>(limit_.step());
    const bool saves_first =
        policy::steps_due(policy(), standing_.step + standing_.stride, last_tried()) ||
        policy::seconds_due(policy(), next_step, last_save_);
    if (limit_.must_stop(now, (flight_ ? 1 : 0) + (saves_first ? 1 : 0))) {
      voice.stop = coord::StepVote::kTimeLimit;
    }
  });
  voice.failed = error.has_value();  // the user's clock did: all hear of it in the next step
  failure_ = error;
  voice.writing = flight_ && !saver_.ready();
  vote_->post(voice);
  is_answered_ = false;
  if (flight_) flight_->voted = true;
}

void Run::is_at(std::uint64_t step) {
  if (standing_.step != 0 && step > standing_.step) standing_.stride = step - standing_.step;
  standing_.step = step;
  standing_.updating = false;
}

void Run::step_begins() {
  if (settings().stop_before && series_) step_began_ = Clock::now();
}

void Run::step_is_over() {
  if (step_began_) limit_.saw_step(Clock::now() - *std::exchange(step_began_, std::nullopt));
}

/// Collective. Who waits for all ranks in a conversation where nobody says that a rank has left would
/// wait for the deadline.
void Run::hear_who_left() {
  if (!saver_.ends_by_itself()) static_cast<void>(coord::all_of<std::int32_t>(*comm_, 0, MPI_MAX));
}

/// Collective no more. Where a rank does not answer, nobody waits for anybody in this object; where
/// one has left, ranks may still meet, and a save that is under way may still be committed.
void Run::break_off(End why) {
  comm_->give_up();
  if (why == End::left) return;
  saver_.abandon();
  if (farewell_) farewell_->give_up();
}

}  // namespace cairn
