#include "cairn/model_checkpoint.hpp"

#include "codec/random.hpp"
#include "codec/seal.hpp"
#include "codec/sha256.hpp"
#include "coord/candidate.hpp"
#include "coord/load_steps.hpp"
#include "coord/loader.hpp"
#include "coord/saver.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"
#include "policy/trigger.hpp"
#include "storage/process_identity.hpp"
#include "storage/series.hpp"

namespace cairn {
namespace {

/// The system's time at construction, and a steady clock from there on.
std::function<Time()> steady_system_clock() {
  const Time begin = std::chrono::system_clock::now();
  const auto steady_begin = std::chrono::steady_clock::now();
  return [=] { return begin + (std::chrono::steady_clock::now() - steady_begin); };
}

RunId random_run_id() {
  RunId id;
  codec::fill_random(id);
  return id;
}

/// What all ranks must have in common, as a number.
std::uint64_t digest_of(const CheckpointSettings& settings) {
  WireWriter writer;
  writer.put(settings.save_checkpoint_steps.value())
      .put(settings.save_checkpoint_seconds.value())
      .put(settings.steps_per_epoch)
      .put(settings.integrated_save)
      .put(settings.crc_check)
      .put(settings.quarantine_damaged)
      .put(settings.enc_mode)
      .put(codec::fingerprint(settings.enc_key))
      .put(settings.write.writer)
      .put(settings.write.block_bytes)
      .put(settings.write.durable);
  const codec::Digest digest = codec::sha256(writer.take());
  return WireReader(digest).get<std::uint64_t>();
}

}  // namespace

/// Rank 0 has a `Series` and decides; what the others need to know reaches them by broadcast.
/// Hidden, since it would inherit the visibility of the class that it is nested in.
class __attribute__((visibility("hidden"))) ModelCheckpoint::Impl {
 public:
  Impl(MPI_Comm comm, Prefix prefix, Directory directory, CheckpointConfig config)
      : prefix_(std::move(prefix)),
        directory_(std::move(directory)),
        config_(std::move(config)),
        comm_(comm, settings().write.deadline),
        saver_(comm, settings().write,
               {settings().crc_check, settings().enc_key, settings().enc_mode}),
        vote_(comm_) {
    coord::check_same(comm_, settings().saved_network != nullptr, "saved_network, given or none,");
    coord::check_same(comm_, digest_of(settings()), "the settings");
    coord::run_on_root(comm_, [&] {
      if (!prefix_.varies()) policy::check_prefix(prefix_.at(0));
      clock_ = settings().clock ? settings().clock : steady_system_clock();
      run_id_ = settings().run_id ? *settings().run_id : random_run_id();
      last_save_ = clock_();
    });
  }

  ~Impl() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0) return;
    try {
      vote_.complete();
    } catch (const Error& error) {
      if (settings().listener != nullptr) settings().listener->failed({}, error);
    }
  }

  Next step_end(std::uint64_t step, const State& state) {
    const CheckpointPolicy policy = config_.get_checkpoint_policy();
    if (!policy::needs_reduction(policy)) {
      if (policy::steps_due(policy, step, last_saved_step_)) save(step, state);
      return Next::go_on;
    }
    if (vote_.complete()) save(step, state);
    bool due = false;
    const auto error = coord::attempt([&] {
      due = comm_.rank() == 0 && policy::seconds_due(policy, clock_(), last_save_);
    });
    vote_.post(due);  // also where the user's clock failed: the others post theirs
    if (error) throw Error(*error);
    return Next::go_on;
  }

  void end(std::uint64_t step, const State& state) {
    vote_.complete();
    coord::check_same_call(comm_, coord::Call::end, step);
    if (!latest_ || last_saved_step_ != step) save_agreed(step, state);
  }

  SaveReport save(std::uint64_t step, const State& state) {
    coord::check_same_call(comm_, coord::Call::save, step);
    return save_agreed(step, state);
  }

  std::optional<Restored> restore(State& state, const LoadOptions& options,
                                  const std::optional<std::string>& series) {
    coord::check_same_call(comm_, coord::Call::restore, 0);
    try {
      bool found = false;
      coord::run_on_root(comm_, [&] { found = open_existing(series); });
      found = coord::all_of<std::int32_t>(comm_, found ? 1 : 0, MPI_MAX) == 1;
      if (!found) return std::nullopt;
      const LoadOptions protected_options = with_protection(options);
      coord::check_options(comm_, protected_options);
      return restore_newest(state, protected_options);
    } catch (const Error&) {
      // Without a committed save of this run the series was only looked at.
      if (!has_saved_) series_.reset();
      throw;
    }
  }

  [[nodiscard]] const std::optional<std::filesystem::path>& latest() const { return latest_; }
  [[nodiscard]] const CheckpointConfig& config() const { return config_; }

 private:
  [[nodiscard]] const CheckpointSettings& settings() const { return config_.settings(); }

  [[nodiscard]] storage::SweepRules rules() const {
    return {.identity = storage::process_identity(run_id_),
            .stale_after = settings().stale_after};
  }

  [[nodiscard]] storage::Place place_at(std::uint64_t step) const {
    storage::Place place{directory_.at(step), prefix_.at(step)};
    policy::check_prefix(place.prefix);
    return place;
  }

  [[nodiscard]] storage::Catalog catalog() const {
    if (prefix_.varies() || directory_.varies()) return {directory_.root(), std::nullopt};
    return {directory_.root(), place_at(0)};
  }

  void open_series(storage::Catalog catalog, unsigned number) {
    series_.emplace(std::move(catalog), number, rules());
    tell_swept(series_->swept());
  }

  void tell_swept(const std::vector<std::filesystem::path>& paths) const {
    if (settings().listener == nullptr) return;
    for (const auto& path : paths) settings().listener->deleted({.path = path});
  }

  /// The settings say how checkpoints are protected, where the options do not.
  [[nodiscard]] LoadOptions with_protection(LoadOptions options) const {
    if (options.enc_key.empty() && !settings().enc_key.empty()) {
      options.enc_key = settings().enc_key;
      options.enc_mode = settings().enc_mode;
    }
    options.crc_check = options.crc_check || settings().crc_check;
    return options;
  }

  /// Rank 0. The series of this run is chosen at its first save, unless it restored one.
  storage::Series& series_for(const storage::Place& place) {
    if (!series_) {
      storage::Catalog known = catalog();
      known.add(place, storage::process_identity(run_id_));
      series_.emplace(storage::Series::fresh(known, rules()));
      tell_swept(series_->swept());
    }
    return *series_;
  }

  /// Rank 0. False where there is no checkpoint at all.
  bool open_existing(const std::optional<std::string>& wanted) {
    if (series_ && has_saved_) return use_own(wanted);
    series_.reset();
    storage::Catalog known = catalog();
    std::optional<unsigned> number = storage::Series::newest_number(known);
    if (wanted) number = number_of(known, *wanted);
    if (!number) {
      tell_swept(storage::Series::sweep_places(known, rules()));
      return false;
    }
    open_series(std::move(known), *number);
    if (!series_->candidates().empty()) return true;
    series_.reset();
    if (wanted) {
      throw Error(ErrorCode::not_found, "series \"" + *wanted + "\" has no checkpoint in " +
                                            directory_.root().string());
    }
    return false;
  }

  /// Rank 0. This run has chosen its series already.
  bool use_own(const std::optional<std::string>& wanted) const {
    if (wanted && !series_->is_called(*wanted)) {
      throw Error(ErrorCode::invalid_argument,
                  "series \"" + *wanted + "\" cannot be restored: this run uses another already");
    }
    return !series_->candidates().empty();
  }

  static unsigned number_of(const storage::Catalog& known, const std::string& wanted) {
    for (const storage::Place& place : known.places()) {
      if (const auto number = policy::series_number(place.prefix, wanted)) return *number;
    }
    throw Error(ErrorCode::invalid_argument,
                "\"" + wanted + "\" is not a series of this prefix: expected the prefix, or the "
                "prefix, '_' and a number");
  }

  [[nodiscard]] policy::Kind file_kind() const {
    if (!settings().integrated_save) return policy::Kind::shards;
    return settings().enc_key.empty() ? policy::Kind::file : policy::Kind::sealed;
  }

  SaveReport save_agreed(std::uint64_t step, const State& trained) {
    const State& state = settings().saved_network ? *settings().saved_network : trained;
    coord::Saver::Request request;
    coord::run_on_root(comm_, [&] {
      const storage::Place place = place_at(step);
      auto next = series_for(place).next(place, step, settings().steps_per_epoch, file_kind());
      request.path = std::move(next.path);
      request.record = std::move(next.record);
      request.record.run_id = run_id_;
      request.record.saved_at = clock_();
    });
    const auto kind =
        settings().integrated_save ? coord::Saver::Kind::integrated : coord::Saver::Kind::shards;
    SaveReport report = saver_.save(state, request, kind, settings().listener);
    has_saved_ = true;
    last_saved_step_ = step;
    latest_ = report.path;
    retain(report, request);
    return report;
  }

  /// Local. The new checkpoint is durable on all ranks; rank 0 may delete.
  void retain(const SaveReport& report, const coord::Saver::Request& request) {
    Listener* const listener = settings().listener;
    const Event event{.path = report.path,
                      .step = last_saved_step_,
                      .sequence = request.record.sequence,
                      .bytes = report.file_bytes,
                      .rank = comm_.rank()};
    if (listener != nullptr) listener->phase(event, Phase::retaining);
    if (comm_.rank() != 0) return;
    last_save_ = request.record.saved_at;
    series_->committed(report.path, request.record);
    series_->retain(
        config_.get_checkpoint_policy(),
        [&](const std::filesystem::path& path) {
          if (listener != nullptr) listener->deleted({.path = path});
        },
        [&](const std::filesystem::path& path, const Error& why) {
          if (listener != nullptr) listener->skipped({.path = path}, why.what());
        });
  }

  /// Collective. Tries one candidate after the other; all ranks hear of each from rank 0.
  Restored restore_newest(State& state, const LoadOptions& options) {
    std::vector<storage::Found> candidates;
    if (comm_.rank() == 0) candidates = series_->candidates();
    Restored restored;
    bool tried = false;  // to load one that turned out to be damaged, perhaps after values moved
    for (std::size_t i = 0;; ++i) {
      const std::optional<coord::Candidate> candidate =
          coord::share_candidate(comm_, candidates, i);
      if (!candidate) throw_none_good(restored.skipped);
      try {
        if (candidate->problem) throw Error(*candidate->problem);
        static_cast<LoadReport&>(restored) =
            coord::load_checkpoint(comm_, candidate->path, state, options);
        accept(restored);
        if (tried) warn_of_leftovers(restored);
        if (settings().quarantine_damaged) quarantine(restored.skipped);
        return restored;
      } catch (const Error& error) {
        // Refusals are not damage: they must not lead to an older state.
        if (error.code() != ErrorCode::damaged && error.code() != ErrorCode::not_found) throw;
        tried = tried || !candidate->problem;
        if (comm_.rank() == 0) series_->found_damaged(candidate->path, error);
        skip(restored.skipped, candidate->path, error.what());
      }
    }
  }

  /// Without `strict`, what the older one does not hold is not overwritten by it.
  static void warn_of_leftovers(Restored& restored) {
    const std::size_t left = restored.missing.size() + restored.different.size();
    if (left == 0) return;
    restored.warnings.push_back(
        std::to_string(left) + " tensors were not loaded from " + restored.path.string() +
        " (missing, different); they may hold values of the damaged ones that were tried before");
  }

  void skip(std::vector<Skipped>& skipped, const std::filesystem::path& path,
            const std::string& reason) const {
    if (comm_.rank() == 0 && settings().listener != nullptr) {
      settings().listener->skipped({.path = path}, reason);
    }
    skipped.push_back({path, reason});
  }

  [[noreturn]] void throw_none_good(const std::vector<Skipped>& skipped) const {
    std::string text = "there are checkpoints in " + directory_.root().string() +
                       ", but none of them is good:";
    for (const Skipped& one : skipped) text += "\n  " + one.path.string() + ": " + one.reason;
    throw Error(ErrorCode::damaged, text);
  }

  /// Collective. A rename that fails is told to the listener and harms nobody.
  void quarantine(std::vector<Skipped>& skipped) {
    for (Skipped& one : skipped) {
      WireWriter writer;
      coord::run_on_root(comm_, [&] {
        const auto failed = coord::attempt([&] {
          writer.put_text(series_->quarantine(one.path).string());
        });
        if (failed && settings().listener != nullptr) {
          settings().listener->skipped({.path = one.path}, failed->what());
        }
      });
      const Bytes told = comm_.broadcast(writer.take());
      if (!told.empty()) one.quarantined = WireReader(told).get_text();
    }
  }

  void accept(const Restored& restored) {
    last_saved_step_ = restored.step;
    latest_ = restored.path;
    has_saved_ = true;
    coord::run_on_root(comm_, [&] {
      series_->restored(restored.path);
      last_save_ = clock_();
    });
  }

  Prefix prefix_;
  Directory directory_;
  CheckpointConfig config_;
  coord::Comm comm_;
  coord::Saver saver_;
  coord::StepVote vote_;
  std::uint64_t last_saved_step_ = 0;
  bool has_saved_ = false;  ///< or restored: the series is this run's
  std::optional<std::filesystem::path> latest_;

  // Rank 0 only.
  std::function<Time()> clock_;
  RunId run_id_{};
  Time last_save_{};
  std::optional<storage::Series> series_;
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

std::optional<std::filesystem::path> ModelCheckpoint::latest() const { return impl_->latest(); }

const CheckpointConfig& ModelCheckpoint::config() const noexcept { return impl_->config(); }

}  // namespace cairn
