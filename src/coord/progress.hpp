#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "cairn/listener.hpp"
#include "coord/tell.hpp"

namespace cairn::coord {

/// Tells the listener what a save is doing, and takes the time of each phase.
class Progress {
 public:
  Progress(Listener* listener, Event event) : listener_(listener), event_(std::move(event)) {}

  [[nodiscard]] Event& event() noexcept { return event_; }
  [[nodiscard]] const Event& event() const noexcept { return event_; }

  void started() const {
    tell(listener_, [&](Listener& it) { it.started(event_); });
  }
  /// Ends the phase before.
  void enter(Phase phase) {
    stop();
    current_ = phase;
    since_ = Clock::now();
    tell(listener_, [&](Listener& it) { it.phase(event_, phase); });
  }
  void stop() {
    if (!current_) return;
    event_.seconds[static_cast<std::size_t>(*current_)] += seconds_since(since_);
    current_.reset();
  }
  /// The program waits for this save from here on, until `release`.
  void hold() { held_ = Clock::now(); }
  void release() {
    event_.stall_seconds = stall_seconds();
    held_.reset();
  }
  [[nodiscard]] double stall_seconds() const {
    return event_.stall_seconds + (held_ ? seconds_since(*held_) : 0);
  }
  void captured() const {
    tell(listener_, [&](Listener& it) { it.captured(event_); });
  }
  void committed() const {
    tell(listener_, [&](Listener& it) { it.committed(event_); });
  }
  void failed(const Error& error) {
    stop();
    tell(listener_, [&](Listener& it) { it.failed(event_, error); });
  }
  void waited(double seconds) const {
    tell(listener_, [&](Listener& it) { it.waited(event_, seconds); });
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds_since(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }

  Listener* listener_;
  Event event_;
  std::optional<Phase> current_;
  std::optional<Clock::time_point> held_;
  Clock::time_point since_;
};

}  // namespace cairn::coord
