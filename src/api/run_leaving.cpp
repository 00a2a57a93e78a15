// The end of a training loop before its time. A signal or the time limit is agreed on in the vote, and
// all ranks save and stop after the same step. An exception is nobody's agreement: a rank tells those
// who wait for it that it has left, and looks whether the others leave, too. Where all meet after the
// same step, they save together; else each writes what it holds by itself.
#include <csignal>
#include <cstring>
#include <string>

#include "api/run.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"

namespace cairn {
namespace {

std::string words_for(std::int32_t reason) {
  if (reason == coord::StepVote::kTimeLimit) return "the time limit is near";
  const char* const name = sigabbrev_np(reason);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(reason);
}

}  // namespace

/// Collective. After a signal the checkpoint is a breakpoint; before the time limit it is one like any
/// other, or job after job would leave one that retention never deletes.
void Run::save_and_stop(std::uint64_t step, const State& state, std::int32_t reason) {
  stopped_ = true;
  coord::check_same_call(*comm_, coord::Call::save, step);
  const Event event{.path = {}, .step = step, .rank = rank_};
  coord::tell(settings().listener, [&](Listener& it) { it.stopping(event, words_for(reason)); });
  const std::optional<Error> failed = land_if_flying();
  const auto kind = reason == coord::StepVote::kTimeLimit ? storage::CheckpointKind::periodic
                                                          : storage::CheckpointKind::breakpoint;
  if (!is_saved(step)) save_in_room(step, state, kind);
  rest_together();
  if (failed && !is_passed_over(*failed)) throw Error(*failed);
}

/// Local at first, then collective as far as the others come. Inside of a `catch`, or while an
/// exception is on its way.
void Run::leave(const State& state, const std::exception_ptr& by) noexcept {
  if (!settings().exception_save || is_alone_) return;
  saver_.wait_captured();  // the values are the caller's again, whatever becomes of the save
  left_at_end_ = thrown_ && by == thrown_;
  if (left_together(state)) return;
  is_alone_ = true;
  farewell_->stay_away();
  break_off(saver_.ends_by_itself() && !saver_.comm().is_broken() ? End::left : End::unresponsive);
  save_alone(state);
  // It goes on by itself, and the process may end when this returns.
  if (flight_ && !saver_.comm().is_broken()) static_cast<void>(coord::attempt([&] { land(true); }));
}

/// Collective where all others leave, too. False: there is nobody to save with, or the values are not
/// of one step; but a save that was in flight is ended.
bool Run::left_together(const State& state) noexcept {
  bool together = false;
  const auto failed = coord::attempt([&] {
    const auto meeting = meet_others();
    if (!meeting || meeting->broken) return;
    go_on_together();
    together = meeting->same_step;
    static_cast<void>(land_if_flying());
    if (together) save_together(state, *meeting);
  });
  return together && !(failed && failed->code() == ErrorCode::unresponsive);
}

std::optional<coord::Farewell::Meeting> Run::meet_others() {
  const std::string after = "after step " + std::to_string(standing_.step);
  if (comm_->is_broken() && !comm_->was_left()) return std::nullopt;
  comm_->take_leave("left the training loop by an exception, " + after);
  return farewell_->meet({.step = standing_.step,
                          .broken = saver_.comm().is_broken(),
                          .updating = standing_.updating,
                          .unsure = !is_sure()},
                         settings().exception_save_timeout);
}

/// Whether the values are known to be those of a step: the program says when it changes them, or
/// what it left the loop by came out of a call at the end of one.
bool Run::is_sure() const {
  return standing_.marks_updates || left_at_end_;
}

/// Collective. All ranks are here, at the same step: what they had posted in the old conversation is
/// left alone, and this object is whole again.
void Run::go_on_together() {
  auto next = farewell_->next();
  comm_->give_up();
  vote_.reset();
  comm_ = farewell_->take_comm();
  farewell_ = std::move(next);
  vote_.emplace(*comm_);
  if (flight_) flight_->voted = false;
}

/// Collective. Errors are told to the listener: the exception that is on its way comes first.
void Run::save_together(const State& state, const coord::Farewell::Meeting& meeting) {
  if (nothing_is_new()) return;
  if (meeting.updating) return tell_not_saved("the loop was left while values were being updated");
  // Perhaps values of two steps: what ranks save alone says so, and is used only where asked for.
  if (meeting.unsure) {
    save_alone(state);
    static_cast<void>(coord::attempt([&] { take_number(); }));  // whoever is lost now, all is saved
    return;
  }
  save_in_room(standing_.step, state, storage::CheckpointKind::breakpoint);
  rest_together();
}

/// No step was made, or the last one is saved.
bool Run::nothing_is_new() const {
  return standing_.step == 0 || (is_saved(standing_.step) && !flight_);
}

void Run::tell_not_saved(const std::string& why) {
  const Event event{.path = {}, .step = standing_.step, .rank = rank_};
  coord::tell(settings().listener, [&](Listener& it) {
    it.skipped(event, "no breakpoint was saved: " + why);
  });
}

}  // namespace cairn
