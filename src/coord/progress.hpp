#pragma once

#include <array>
#include <chrono>
#include <optional>

#include "cairn/listener.hpp"

namespace cairn::coord {

/// Tells the listener what a save is doing, and takes the time of each phase.
class Progress {
 public:
  Progress(Listener* listener, Event event) : listener_(listener), event_(std::move(event)) {}

  [[nodiscard]] Event& event() noexcept { return event_; }
  [[nodiscard]] const std::array<double, kPhaseCount>& seconds() const noexcept { return seconds_; }

  void started() const {
    if (listener_ != nullptr) listener_->started(event_);
  }
  /// Ends the phase before.
  void enter(Phase phase) {
    stop();
    current_ = phase;
    since_ = std::chrono::steady_clock::now();
    if (listener_ != nullptr) listener_->phase(event_, phase);
  }
  void stop() {
    if (!current_) return;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - since_;
    seconds_[static_cast<std::size_t>(*current_)] += passed.count();
    current_.reset();
  }
  void captured() const {
    if (listener_ != nullptr) listener_->captured(event_);
  }
  void committed() const {
    if (listener_ != nullptr) listener_->committed(event_);
  }
  void failed(const Error& error) const {
    if (listener_ != nullptr) listener_->failed(event_, error);
  }

 private:
  Listener* listener_;
  Event event_;
  std::array<double, kPhaseCount> seconds_{};
  std::optional<Phase> current_;
  std::chrono::steady_clock::time_point since_;
};

}  // namespace cairn::coord
