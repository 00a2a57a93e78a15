#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace cairn::testing {

/// The system calls by which a checkpoint directory changes or a change becomes durable.
enum class Call : std::uint8_t { rename, sync, remove, make_directory, lock };

/// While it lives, `before(call)` is asked before each such call of this program, the standard
/// library's included. Where it answers an errno, the call is not made and fails with that. It may
/// look around, change files by other calls, or end the process: then that call was never made.
class CallWatch {
 public:
  explicit CallWatch(std::function<int(Call)> before);
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;
  ~CallWatch();
};

/// The calls that `action` makes, in their order.
template <class Action>
std::vector<Call> calls_of(Action&& action) {
  std::vector<Call> calls;
  const CallWatch watch([&](Call call) {
    calls.push_back(call);
    return 0;
  });
  action();
  return calls;
}

}  // namespace cairn::testing
