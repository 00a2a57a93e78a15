// A handler runs between any two instructions: all that it touches is either a lock-free atomic or
// was written before it was installed. It is never uninstalled for good where somebody has chained to
// it: then it passes on what it gets.
#include "coord/signal_watch.hpp"

#include <cerrno>
#include <csignal>

#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

namespace cairn::coord {
namespace {

constexpr std::array kSignals{SIGTERM, SIGINT, SIGUSR1, SIGUSR2};

struct Watched {
  struct sigaction before {};  ///< who handled it
  bool installed = false;
};

std::mutex mutex;
unsigned watches = 0;
std::array<Watched, kSignals.size()> watched;
std::atomic<int> first_caught{0};
std::atomic<bool> active{false};
std::atomic<pid_t> watcher{0};  ///< the process that watches; its forked children have the handlers
std::atomic<bool> interrupted{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free &&
              std::atomic<pid_t>::is_always_lock_free);

/// What the signal does by itself, once this handler has returned.
void die_of(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

/// Not in a forked child: nobody would look at its flag, and it would live on.
bool is_watching() { return active && watcher == ::getpid(); }

void pass_on(const struct sigaction& to, int signal, siginfo_t* info, void* context) {
  if ((to.sa_flags & SA_SIGINFO) != 0) {
    to.sa_sigaction(signal, info, context);
  } else if (to.sa_handler != SIG_DFL && to.sa_handler != SIG_IGN) {
    to.sa_handler(signal);
  } else if (to.sa_handler == SIG_DFL && !is_watching()) {
    die_of(signal);
  }
}

void handle(int signal, siginfo_t* info, void* context) {
  const int before = errno;  // of the call that is interrupted
  int none = 0;
  if (is_watching()) first_caught.compare_exchange_strong(none, signal);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) pass_on(watched[i].before, signal, info, context);
  }
  if (signal == SIGINT && is_watching() && interrupted.exchange(true)) die_of(signal);
  errno = before;
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle;
}

void install(int signal, Watched& entry) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0 || is_ours(now)) return;
  if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN) return;
  // Somebody has chained to us since the last watch, and we are still called through them. Where
  // the signal is at its default nobody can.
  const bool is_default = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
  if (entry.installed && !is_default) return;
  entry.before = now;
  struct sigaction ours {};
  ours.sa_sigaction = handle;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  entry.installed = sigaction(signal, &ours, nullptr) == 0;
}

void uninstall(int signal, Watched& entry) {
  struct sigaction now {};
  if (!entry.installed || sigaction(signal, nullptr, &now) != 0 || !is_ours(now)) return;
  entry.installed = sigaction(signal, &entry.before, nullptr) != 0;
}

}  // namespace

SignalWatch::SignalWatch() {
  const std::lock_guard lock(mutex);
  if (watches++ != 0) return;
  first_caught = 0;
  interrupted = false;
  watcher = ::getpid();
  active = true;
  for (std::size_t i = 0; i < kSignals.size(); ++i) install(kSignals[i], watched[i]);
}

SignalWatch::~SignalWatch() {
  const std::lock_guard lock(mutex);
  if (--watches != 0) return;
  active = false;
  for (std::size_t i = 0; i < kSignals.size(); ++i) uninstall(kSignals[i], watched[i]);
}

int SignalWatch::caught() noexcept { return first_caught; }

}  // namespace cairn::coord
