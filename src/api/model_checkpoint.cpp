#include "cairn/model_checkpoint.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "api/restore.hpp"
#include "api/run_series.hpp"
#include "base/append_entries.hpp"
#include "codec/seal.hpp"
#include "codec/sha256.hpp"
#include "coord/load_steps.hpp"
#include "coord/saver.hpp"
#include "coord/step_vote.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"
#include "policy/append_info.hpp"
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

/// Rank 0 has a `RunSeries` and decides; what the others need to know reaches them by broadcast.
///
/// At most one save is in flight. Whether one is, is the same on every rank at every moment, since
/// it begins and ends in collective calls only: it ends where all ranks have said, in the vote of the
/// step before, that they are done with it, or where a call waits for it.
///
/// Hidden, since it would inherit the visibility of the class that it is nested in.
class __attribute__((visibility("hidden"))) ModelCheckpoint::Impl {
 public:
  Impl(MPI_Comm comm, Prefix prefix, Directory directory, CheckpointConfig config)
      : prefix_(std::move(prefix)),
        directory_(std::move(directory)),
        config_(std::move(config)),
        comm_(comm, settings().write.deadline),
        vote_(comm_),
        saver_(comm, settings().write,
               {settings().crc_check, settings().enc_key, settings().enc_mode}) {
    coord::check_same(comm_, settings().saved_network != nullptr, "saved_network, given or none,");
    coord::check_same(comm_, digest_of(config_), "the settings");
    coord::run_on_root(comm_, [&] {
      series_.emplace(prefix_, directory_, config_);
      last_save_ = series_->now();
    });
  }

  ~Impl() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0) return;
    if (flight_) static_cast<void>(coord::attempt([&] { land(true); }));  // the listener has heard
    if (comm_.is_broken()) return;
    const auto failed = coord::attempt([&] { vote_.complete(); });
    saver_.rest();
    if (failed) coord::tell(settings().listener, [&](Listener& it) { it.failed({}, *failed); });
  }

  Next step_end(std::uint64_t step, const State& state) {
    comm_.refuse_if_broken();
    saver_.wait_captured();
    const auto answer = vote_.complete();
    const bool landed = flight_ && flight_->voted && answer && !answer->writing;
    if (landed) land(false);
    if (answer && answer->failed) coord::settle(comm_, std::exchange(failure_, std::nullopt));
    const bool time_is_up = answer && answer->due && !is_answered_;
    if (time_is_up || policy::steps_due(policy(), step, last_saved_step_)) {
      coord::check_same_call(comm_, coord::Call::save, step);
      if (flight_) land(true);
      settings().async_save ? take_off(step, state) : static_cast<void>(save_now(step, state));
    }
    vote();
    return Next::go_on;
  }

  void end(std::uint64_t step, const State& state) {
    vote_.complete();
    coord::check_same_call(comm_, coord::Call::end, step);
    // The last step is saved even where the save before it failed; but that is told too.
    std::optional<Error> failed;
    if (flight_) failed = coord::attempt([&] { land(true); });
    if (failed && failed->code() == ErrorCode::unresponsive) throw Error(*failed);
    if (!latest_ || last_saved_step_ != step) {
      const auto failed_too = coord::attempt([&] { save_now(step, state); });
      if (failed_too && failed) {
        throw Error(failed_too->code(), std::string(failed_too->what()) +
                                            "; the save before it had failed too: " + failed->what());
      }
      if (failed_too) throw Error(*failed_too);
    }
    rest_together();
    if (failed) throw Error(*failed);
  }

  SaveReport save(std::uint64_t step, const State& state) {
    coord::check_same_call(comm_, coord::Call::save, step);
    if (flight_) land(true);
    is_answered_ = true;
    return save_now(step, state);
  }

  void before_update() const { saver_.wait_captured(); }

  /// Ranks look together, again and again, since each may be done, or out of time, at another moment.
  bool wait(std::chrono::milliseconds timeout) {
    constexpr std::chrono::milliseconds kLook{50};
    coord::check_same_call(comm_, coord::Call::wait, 0);
    const auto since = std::chrono::steady_clock::now();
    while (flight_) {
      const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - since);
      const auto left = timeout > passed ? timeout - passed : std::chrono::milliseconds{0};
      const bool ready = saver_.wait_ready(std::min(left, kLook));
      std::array<std::int32_t, 2> any{ready ? 0 : 1, left.count() == 0 ? 1 : 0};
      comm_.allreduce(std::span<std::int32_t>(any), MPI_MAX);
      if (any[0] == 0) {
        land(true);
      } else if (any[1] != 0) {
        return false;
      }
    }
    rest_together();
    return true;
  }

  std::optional<Restored> restore(State& state, const LoadOptions& options,
                                  const std::optional<std::string>& series) {
    coord::check_same_call(comm_, coord::Call::restore, 0);
    if (flight_) land(true);
    is_answered_ = true;
    saver_.rest();
    try {
      bool found = false;
      coord::run_on_root(comm_, [&] { found = series_->open_existing(series); });
      found = coord::all_of<std::int32_t>(comm_, found ? 1 : 0, MPI_MAX) == 1;
      if (!found) return std::nullopt;
      const LoadOptions completed = completed_by_settings(options);
      coord::check_options(comm_, completed);
      Restored restored =
          restore_newest({comm_, root(), settings(), directory_.root()}, state, completed);
      last_saved_step_ = restored.step;
      latest_ = restored.path;
      coord::run_on_root(comm_, [&] { last_save_ = series_->now(); });
      return restored;
    } catch (const Error&) {
      if (series_) series_->close_unused();
      throw;
    }
  }

  [[nodiscard]] const std::optional<std::filesystem::path>& latest() const { return latest_; }
  [[nodiscard]] const std::optional<SaveReport>& last_report() const { return last_report_; }
  [[nodiscard]] const CheckpointConfig& config() const { return config_; }

 private:
  /// An asynchronous save, from `take_off` to `land`.
  struct Flight {
    std::uint64_t saved_before;  ///< the last saved step, should this save fail
    Time time_before;            ///< rank 0 only: of the last save
    bool voted = false;          ///< the vote that is posted is about it
  };

  [[nodiscard]] const CheckpointSettings& settings() const { return config_.settings(); }
  [[nodiscard]] CheckpointPolicy policy() const { return config_.get_checkpoint_policy(); }
  [[nodiscard]] RunSeries* root() { return series_ ? &*series_ : nullptr; }

  /// Collective. On return retention is done: rank 0 has deleted, and all know.
  void rest_together() {
    saver_.rest();
    static_cast<void>(coord::all_of<std::int32_t>(comm_, 0, MPI_MAX));
  }

  /// The settings say how checkpoints are protected and what is appended, where the options do not.
  [[nodiscard]] LoadOptions completed_by_settings(LoadOptions options) const {
    if (options.enc_key.empty() && !settings().enc_key.empty()) {
      options.enc_key = settings().enc_key;
      options.enc_mode = settings().enc_mode;
    }
    options.crc_check = options.crc_check || settings().crc_check;
    if (options.append_info.empty()) options.append_info = config_.append_dict();
    return options;
  }

  /// Collective, but does not wait; nothing where nobody has to hear anything.
  void vote() {
    if (!flight_ && !policy::needs_reduction(policy())) return;
    coord::StepVote::Voice voice;
    const auto error = coord::attempt([&] {
      voice.due = series_ && policy::seconds_due(policy(), series_->now(), last_save_);
    });
    voice.failed = error.has_value();  // the user's clock did: all hear of it in the next step
    failure_ = error;
    voice.writing = flight_ && !saver_.ready();
    vote_.post(voice);
    is_answered_ = false;
    if (flight_) flight_->voted = true;
  }

  /// Collective. What to save under which name; only rank 0's request counts.
  coord::Saver::Job job_for(std::uint64_t step, const State& trained) {
    const State& state = settings().saved_network ? *settings().saved_network : trained;
    saver_.wait_cleaned();  // what it does afterwards is about the series, too
    const bool as_it_is = !settings().async_save && config_.append_dict().entries().empty();
    coord::Saver::Job job{.state = as_it_is ? state : entries_, .request = {}};
    coord::run_together(
        comm_,
        [&] {
          if (!as_it_is) {
            entries_ = with_append_info(
                state,
                policy::with_counters(config_.append_dict(), step, settings().steps_per_epoch));
          }
          if (series_) job.request = series_->next(step);
        },
        coord::Blame::nobody);
    job.kind = settings().integrated_save ? coord::SaveKind::integrated : coord::SaveKind::shards;
    job.listener = settings().listener;
    job.afterwards = [this](const coord::SaveRequest& agreed, const SaveReport& report) {
      retain(agreed, report);
    };
    return job;
  }

  /// A rank that does not answer the saver will not answer here either: the object is broken then.
  template <class Call>
  auto whole(Call&& call) {
    try {
      return std::forward<Call>(call)();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::unresponsive) comm_.give_up();
      throw;
    }
  }

  SaveReport save_now(std::uint64_t step, const State& state) {
    const coord::Saver::Job job = job_for(step, state);
    SaveReport report = whole([&] { return saver_.save(job); });
    last_saved_step_ = step;
    last_save_ = job.request.record.saved_at;
    accept(report);
    return report;
  }

  void take_off(std::uint64_t step, const State& state) {
    const coord::Saver::Job job = job_for(step, state);
    whole([&] { saver_.start(job, {settings().lazy_capture, settings().check_capture}); });
    flight_ = Flight{std::exchange(last_saved_step_, step),
                     std::exchange(last_save_, job.request.record.saved_at)};
  }

  /// Collective. The save in flight is committed, or its error is thrown.
  void land(bool waits) {
    const Flight flight = *std::exchange(flight_, std::nullopt);
    try {
      accept(whole([&] { return saver_.finish(waits); }));
    } catch (const Error&) {
      last_saved_step_ = flight.saved_before;
      last_save_ = flight.time_before;
      throw;
    }
  }

  void accept(const SaveReport& report) {
    latest_ = report.path;
    last_report_ = report;
  }

  /// Local, perhaps in the background. The new checkpoint is durable on all ranks; rank 0 may delete.
  void retain(const coord::SaveRequest& agreed, const SaveReport& report) {
    const Event event{.path = report.path,
                      .step = agreed.record.step,
                      .sequence = agreed.record.sequence,
                      .bytes = report.file_bytes,
                      .rank = comm_.rank()};
    coord::tell(settings().listener, [&](Listener& it) { it.phase(event, Phase::retaining); });
    if (series_) series_->retain(agreed, saver_.trash());
  }

  Prefix prefix_;
  Directory directory_;
  CheckpointConfig config_;
  std::uint64_t last_saved_step_ = 0;
  std::optional<std::filesystem::path> latest_;
  std::optional<SaveReport> last_report_;
  // Rank 0 only.
  Time last_save_{};
  std::optional<RunSeries> series_;

  coord::Comm comm_;
  coord::StepVote vote_;
  State entries_;  ///< of the last save: the state, and what is appended
  std::optional<Flight> flight_;
  bool is_answered_ = false;  ///< a save or restore came after the vote that is posted
  std::optional<Error> failure_;  ///< of this rank, that the vote that is posted is about
  coord::Saver saver_;  // last: what it does in the background uses the rest
};

ModelCheckpoint::ModelCheckpoint(MPI_Comm comm, Prefix prefix, Directory directory,
                                 CheckpointSettings settings)
    : ModelCheckpoint(comm, std::move(prefix), std::move(directory),
                      CheckpointConfig(std::move(settings))) {}

ModelCheckpoint::ModelCheckpoint(MPI_Comm comm, Prefix prefix, Directory directory,
                                 CheckpointConfig config)
    : impl_(std::make_unique<Impl>(comm, std::move(prefix), std::move(directory),
                                   std::move(config))) {}

ModelCheckpoint::ModelCheckpoint(ModelCheckpoint&&) noexcept = default;
ModelCheckpoint& ModelCheckpoint::operator=(ModelCheckpoint&&) noexcept = default;
ModelCheckpoint::~ModelCheckpoint() = default;

Next ModelCheckpoint::step_end(std::uint64_t step, const State& state) {
  return impl_->step_end(step, state);
}

void ModelCheckpoint::end(std::uint64_t step, const State& state) { impl_->end(step, state); }

SaveReport ModelCheckpoint::save(std::uint64_t step, const State& state) {
  return impl_->save(step, state);
}

std::optional<Restored> ModelCheckpoint::restore(State& state, const LoadOptions& options,
                                                 std::optional<std::string> series) {
  return impl_->restore(state, options, series);
}

void ModelCheckpoint::before_update() { impl_->before_update(); }

bool ModelCheckpoint::wait(std::chrono::milliseconds timeout) { return impl_->wait(timeout); }

std::optional<SaveReport> ModelCheckpoint::last_report() const { return impl_->last_report(); }

std::optional<std::filesystem::path> ModelCheckpoint::latest() const { return impl_->latest(); }

const CheckpointConfig& ModelCheckpoint::config() const noexcept { return impl_->config(); }

}  // namespace cairn
