#pragma once

#include <chrono>
#include <optional>

namespace cairn::coord {

/// What a loop of tests does between two of them. It answers at once at first; when nothing moves for
/// long, the processor belongs to those who have work, such as the threads that seal and write: each
/// nap is a quarter of the wait so far, since a timer is dear, above all in a virtual machine.
class Patience {
 public:
  /// Enough where blocks of megabytes are what moves: they take a millisecond each.
  static constexpr unsigned kForBlocks = 10;
  /// Below a millisecond: most answers are on their way.
  static constexpr unsigned kForAnswers = 500;
  /// Messages move only while somebody tests them, but blocks tell when they are complete: where no
  /// message is under way, it is enough to look now and then, after the other ranks and after what MPI
  /// itself has still to pass on.
  static constexpr std::chrono::microseconds kWithoutMessages{2000};

  /// `yields`: how often it gives the processor away before it sleeps for a moment.
  explicit Patience(unsigned yields) noexcept : yields_(yields) {}
  /// Something moved.
  void reset() noexcept {
    pauses_ = 0;
    waited_ = {};
  }
  /// Nothing did: gives the processor away for a moment.
  void pause() noexcept;
  /// The same, where `sleep(most)` may wake up earlier than after that many microseconds.
  template <class Sleep>
  void pause(Sleep&& sleep);

 private:
  using Micros = std::chrono::microseconds;

  /// How long to sleep now; nothing where the processor was given away already.
  std::optional<Micros> nap() noexcept;

  unsigned yields_;
  unsigned pauses_ = 0;
  Micros waited_{};
};

template <class Sleep>
void Patience::pause(Sleep&& sleep) {
  if (const auto most = nap()) sleep(*most);
}

}  // namespace cairn::coord
