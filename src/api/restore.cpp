#include "api/restore.hpp"

#include "coord/candidate.hpp"
#include "coord/loader.hpp"
#include "coord/tell.hpp"
#include "coord/together.hpp"

namespace cairn {
namespace {

void tell_skipped(const RestoreFrom& from, const std::filesystem::path& path,
                  const std::string& reason) {
  if (from.comm.rank() != 0) return;
  coord::tell(from.settings.listener, [&](Listener& it) { it.skipped({.path = path}, reason); });
}

[[noreturn]] void throw_none_good(const RestoreFrom& from, const std::vector<Skipped>& skipped) {
  std::string text = "there are checkpoints in " + from.directory.string() +
                     ", but none of them is good:";
  for (const Skipped& one : skipped) text += "\n  " + one.path.string() + ": " + one.reason;
  throw Error(ErrorCode::damaged, text);
}

/// Whether what `options` opened and what is saved by `settings` are opened alike: a chain has one key.
bool saves_open_like(const LoadOptions& options, const CheckpointSettings& settings) {
  return options.enc_key == settings.enc_key &&
         (settings.enc_key.empty() || options.enc_mode == settings.enc_mode);
}

/// What the older one does not hold, append_info or without `strict`, is not overwritten by it.
void warn_of_leftovers(Restored& restored) {
  // Every warning so far is about a tensor of append_info that is not there.
  const std::size_t left =
      restored.missing.size() + restored.different.size() + restored.warnings.size();
  if (left == 0) return;
  restored.warnings.push_back(
      std::to_string(left) + " tensors were not loaded from " + restored.path.string() +
      " (missing, different); they may hold values of the damaged ones that were tried before");
}

/// Collective. A rename that fails is told to the listener and harms nobody.
void quarantine(const RestoreFrom& from, std::vector<Skipped>& skipped) {
  for (Skipped& one : skipped) {
    if (one.saved_alone) continue;
    WireWriter writer;
    coord::run_on_root(from.comm, [&] {
      const auto failed = coord::attempt([&] {
        writer.put_text(from.series->quarantine(one.path).string());
      });
      if (failed) tell_skipped(from, one.path, failed->what());
    });
    const Bytes told = from.comm.broadcast(writer.take());
    if (!told.empty()) one.quarantined = WireReader(told).get_text();
  }
}

}  // namespace

/// Tries one candidate after the other; all ranks hear of each from rank 0.
std::optional<Restored> restore_newest(const RestoreFrom& from, State& state, const LoadOptions& options) {
  std::vector<storage::Found> candidates;
  if (from.comm.rank() == 0) candidates = from.series->candidates();
  Restored restored;
  bool only_lone = true;
  bool tried = false;  // to load one that turned out to be damaged, perhaps after values moved
  for (std::size_t i = 0;; ++i) {
    const std::optional<coord::Candidate> candidate =
        coord::share_candidate(from.comm, candidates, i);
    if (!candidate && only_lone) return std::nullopt;
    if (!candidate) throw_none_good(from, restored.skipped);
    only_lone = only_lone && candidate->is_lone;
    try {
      if (candidate->problem) throw Error(*candidate->problem);
      static_cast<LoadReport&>(restored) =
          coord::load_checkpoint(from.comm, candidate->path, state, options);
      coord::run_on_root(from.comm, [&] {
        from.series->restored(restored.path, saves_open_like(options, from.settings));
      });
      if (tried) warn_of_leftovers(restored);
      if (from.settings.quarantine_damaged) quarantine(from, restored.skipped);
      return restored;
    } catch (const Error& error) {
      // Refusals are not damage: they must not lead to an older state.
      if (error.code() != ErrorCode::damaged && error.code() != ErrorCode::not_found) throw;
      tried = tried || !candidate->problem;
      if (from.comm.rank() == 0 && !candidate->is_lone) {
        from.series->found_damaged(candidate->path, error);
      }
      tell_skipped(from, candidate->path, error.what());
      restored.skipped.push_back({candidate->path, error.what(), {}, candidate->is_lone});
    }
  }
}

}  // namespace cairn
