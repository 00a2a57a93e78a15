#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "api/run_series.hpp"
#include "cairn/model_checkpoint.hpp"
#include "coord/farewell.hpp"
#include "coord/saver.hpp"
#include "coord/signal_watch.hpp"
#include "coord/structure.hpp"
#include "coord/step_vote.hpp"
#include "policy/time_limit.hpp"

namespace cairn {

/// What a ModelCheckpoint is made of: the checkpoints of one training run. Rank 0 has a `RunSeries`
/// and decides; what the others need to know reaches them by broadcast.
///
/// At most one save is in flight. Whether one is, is the same on every rank at every moment, since
/// it begins and ends in collective calls only: it ends where all ranks have said, in the vote of the
/// step before, that they are done with it, or where a call waits for it.
///
/// run.cpp has the calls, run_saves.cpp how one save begins, ends and fails, run_leaving.cpp what
/// happens when the loop ends before its time, run_alone.cpp what one rank does without the others.
class Run {
 public:
  Run(MPI_Comm comm, Prefix prefix, Directory directory, CheckpointConfig config);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();

  Next step_end(std::uint64_t step, const State& state);
  void before_update();
  bool wait(std::chrono::milliseconds timeout);
  void end(std::uint64_t step, const State& state);
  SaveReport save(std::uint64_t step, const State& state);
  std::optional<Restored> restore(State& state, const LoadOptions& options,
                                  const std::optional<std::string>& series);
  void leave(const State& state, const std::exception_ptr& by) noexcept;

  [[nodiscard]] const std::optional<std::filesystem::path>& latest() const { return latest_; }
  [[nodiscard]] const std::optional<SaveReport>& last_report() const { return last_report_; }
  [[nodiscard]] const CheckpointConfig& config() const { return config_; }

 private:
  using Clock = std::chrono::steady_clock;

  /// An asynchronous save, from `take_off` to `land`.
  struct Flight {
    std::uint64_t saved_before;  ///< the last saved step, should this save fail
    Time time_before;            ///< rank 0 only: of the last save
    bool voted = false;  ///< the vote that is posted is about it
  };
  /// What a rank must know to save without the others, from when they still talked.
  struct Alone {
    coord::SaveRequest last;  ///< where a checkpoint goes, and what it says of itself
    coord::Structure structure;
    codec::Digest claims{};  ///< of this rank, that are a part of that structure
  };
  /// What is known of the values that the program trains.
  struct Standing {
    std::uint64_t step = 0;         ///< that they are, or were, the values after
    std::uint64_t stride = 1;       ///< from the call before: the program may call every k steps
    bool updating = false;          ///< they are being changed
    bool marks_updates = false;     ///< the program says when
  };
  /// Why this object's conversation is over: a rank does not answer, and nothing of it is worth
  /// waiting for; or a rank has left the loop of itself, and its process is there.
  enum class End : bool { unresponsive, left };

  [[nodiscard]] const CheckpointSettings& settings() const { return config_.settings(); }
  [[nodiscard]] storage::Protection protection() const {
    return {settings().crc_check, settings().enc_key, settings().enc_mode};
  }
  [[nodiscard]] CheckpointPolicy policy() const { return config_.get_checkpoint_policy(); }
  [[nodiscard]] RunSeries* root() { return series_ ? &*series_ : nullptr; }
  [[nodiscard]] bool is_saved(std::uint64_t step) const {
    return latest_.has_value() && last_saved_step_ == step;
  }
  /// The last step that was saved or passed over.
  [[nodiscard]] std::uint64_t last_tried() const {
    return std::max(last_saved_step_, passed_over_);
  }

  // run.cpp
  template <class Call>
  auto noting_errors(Call&& call);
  [[nodiscard]] LoadOptions completed_by_settings(LoadOptions options) const;
  template <class Call>
  auto at_step(std::uint64_t step, Call&& call);
  template <class Call>
  auto beside_the_step(Call&& call);
  void act_on(const std::optional<coord::StepVote::Voice>& answer, std::uint64_t step,
              const State& state);
  void is_at(std::uint64_t step);
  void step_begins();
  void step_is_over();
  [[nodiscard]] bool open_existing(const std::optional<std::string>& series);
  void vote();
  void rest_together();
  void hear_who_left();
  void tell_of_failure(const Error& error);
  void break_off(End why);

  // run_saves.cpp
  void save_due(std::uint64_t step, const State& state);
  [[nodiscard]] bool is_passed_over(const Error& error) const;
  void pass_over(std::uint64_t step);
  [[nodiscard]] bool land_or_pass_over(bool waits);
  [[nodiscard]] bool make_room_after(const Error& error);
  template <class Save>
  auto in_room(Save&& save);
  SaveReport save_in_room(std::uint64_t step, const State& state, storage::CheckpointKind kind);
  coord::Saver::Job job_for(std::uint64_t step, const State& trained,
                            storage::CheckpointKind kind);
  SaveReport save_now(std::uint64_t step, const State& state, storage::CheckpointKind kind);
  void note_request();
  void take_off(std::uint64_t step, const State& state);
  std::optional<Error> land_if_flying();
  void land(bool waits);
  void accept(const SaveReport& report, std::optional<Clock::time_point> begin);
  void retain(const coord::SaveRequest& agreed, const SaveReport& report);

  // run_leaving.cpp
  void save_and_stop(std::uint64_t step, const State& state, std::int32_t reason);
  [[nodiscard]] bool left_together(const State& state) noexcept;
  std::optional<coord::Farewell::Meeting> meet_others();
  void go_on_together();
  [[nodiscard]] bool is_sure() const;
  void save_together(const State& state, const coord::Farewell::Meeting& meeting);
  [[nodiscard]] bool nothing_is_new() const;
  void tell_not_saved(const std::string& why);

  // run_alone.cpp
  void prepare_to_be_alone(std::uint64_t step, const State& state);
  void learn_to_be_alone(std::uint64_t step, const State& state);
  void note_structure(Alone& alone);
  void save_alone(const State& state) noexcept;
  void take_number();
  coord::Saver::Job lone_job(const State& entries) const;
  [[nodiscard]] storage::Record lone_record() const;

  Prefix prefix_;
  Directory directory_;
  CheckpointConfig config_;
  std::uint64_t last_saved_step_ = 0;
  std::uint64_t passed_over_ = 0;  ///< the last step whose save failed and was passed over
  std::optional<std::filesystem::path> latest_;
  std::optional<SaveReport> last_report_;
  Standing standing_;
  std::int32_t stop_asked_ = 0;  ///< by a rank, as all know; a signal or `StepVote::kTimeLimit`
  bool stopped_ = false;         ///< all ranks were told to stop
  bool is_alone_ = false;        ///< this rank has left the loop by itself
  // Rank 0 only.
  Time last_save_{};
  std::optional<RunSeries> series_;
  policy::TimeLimit limit_{std::nullopt, {}};
  std::optional<Clock::time_point> step_began_;

  std::unique_ptr<coord::Comm> comm_;
  int rank_ = comm_->rank();
  std::optional<coord::StepVote> vote_;
  std::optional<coord::SignalWatch> signals_;   ///< with `exception_save`, as the next
  std::unique_ptr<coord::Farewell> farewell_;
  std::optional<Alone> alone_;                  ///< from the first step on
  std::exception_ptr thrown_;  ///< by the last call at the end of a step: values are whole then
  bool left_at_end_ = false;   ///< the loop was left by that
  State entries_;  ///< of the last save: the state, and what is appended; where it is needed
  std::optional<Flight> flight_;
  bool is_answered_ = false;  ///< a save or restore came after the vote that is posted
  std::optional<Error> failure_;  ///< of this rank, that the vote that is posted is about
  std::unique_ptr<coord::Saver> lone_saver_;  ///< with `exception_save`
  coord::Saver saver_;  // last: what it does in the background uses the rest
};

}  // namespace cairn
