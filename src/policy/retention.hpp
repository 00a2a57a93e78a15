#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/config.hpp"
#include "cairn/options.hpp"

namespace cairn::policy {

/// A checkpoint that retention may look at: a good, periodic one of the series. Breakpoints,
/// damaged ones and foreign files do not count and are not shown to it.
struct Kept {
  std::uint64_t sequence = 0;
  Time saved_at{};
  /// The one restored from, until a newer one is committed: it stays, whatever the rule says.
  bool is_protected = false;
  /// The same number for a full one and all increments that go back to it, and for no others; 0: it is
  /// full, and there are none.
  std::size_t chain = 0;
};

/// Indices of the checkpoints to delete, oldest first, but within a chain the newest first: an
/// increment goes before what it needs. `oldest_first` is in the order of the
/// sequence numbers, which alone says what is newer: steps and times repeat after a fallback. The
/// newest is never among them. `policy` is a resolved one; one that keeps by neither rule deletes
/// nothing.
///
/// keep_checkpoint_max = M: the oldest that are not protected go, until M are left. A protected
/// one counts among these M, so that a directory never holds more for having been restored from;
/// only where the newest and the protected ones are more than M by themselves do more stay.
///
/// keep_checkpoint_per_n_minutes = n: from the oldest to the newest, one stays if it is the first
/// or was saved at least n minutes after the last one that stayed; the newest stays too. One that
/// stays by its protection alone is passed over: the next ones are not measured from it, and no
/// gap is left when it goes later.
///
/// A full checkpoint and the increments on it are a chain. Its members count one by one, but they go
/// together: by the maximum only where M others stay, by the minutes only where none of them stays by
/// the rule. The chain of the newest never goes.
std::vector<std::size_t> to_delete(std::span<const Kept> oldest_first,
                                   const CheckpointPolicy& policy);

}  // namespace cairn::policy
