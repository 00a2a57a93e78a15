#pragma once

namespace cairn::coord {

/// While any of these lives, SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 set a flag instead of ending the
/// process; handlers that were there are called too, and what the process ignores it goes on to
/// ignore. A second SIGINT ends it at once. One flag for the whole process, since signals are.
/// What they do to a forked child is as before.
class SignalWatch {
 public:
  /// Local.
  SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  /// Local. The last one puts the handlers back that were there.
  ~SignalWatch();

  /// Local. The first signal since the first watch began; 0: none.
  [[nodiscard]] static int caught() noexcept;
};

}  // namespace cairn::coord
