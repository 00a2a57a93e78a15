#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cairn/config.hpp"
#include "policy/retention.hpp"
#include "storage/catalog.hpp"
#include "storage/directory.hpp"
#include "storage/series_lock.hpp"

namespace cairn::storage {

/// The checkpoints of one run under one prefix, as rank 0 keeps them: which there are, what the next
/// one is called, which may go. Held by a lock while this object lives.
class Series {
 public:
  /// Opens the series of that number: locks it, removes the remains of dead jobs, finishes a
  /// replacement that a crash cut short, and reads what there is.
  Series(Catalog catalog, unsigned number, const SweepRules& rules);
  /// Opens a series that has no checkpoint, for a fresh run.
  static Series fresh(const Catalog& catalog, const SweepRules& rules);

  /// The remains of dead jobs, where there is no series to open. Returns what was removed.
  static std::vector<std::filesystem::path> sweep_places(const Catalog& catalog,
                                                         const SweepRules& rules);
  /// The series with the highest number, less than `below`, that has a checkpoint, or what ranks
  /// saved alone; nothing where there is none.
  static std::optional<unsigned> newest_number(const Catalog& catalog,
                                               std::optional<unsigned> below = std::nullopt);
  /// The number that a fresh run takes.
  static unsigned fresh_number(const Catalog& catalog);

  [[nodiscard]] unsigned number() const noexcept { return number_; }
  /// Those that cannot tell their sequence number, since any of them may be the newest; then the
  /// good, newest first. What ranks saved alone is among them: whether it is enough, only its values
  /// tell.
  [[nodiscard]] std::vector<Found> candidates() const;
  /// Whether `series` is the name of this one, under any of the prefixes.
  [[nodiscard]] bool is_called(const std::string& series) const;
  /// The files and locks that were removed when it was opened.
  [[nodiscard]] const std::vector<std::filesystem::path>& swept() const noexcept { return swept_; }

  /// What a checkpoint of `step` is called and says of itself; `place` says where it goes.
  struct Next {
    std::filesystem::path path;
    Record record;
  };
  Next next(const Place& place, std::uint64_t step, std::uint64_t steps_per_epoch,
            policy::Kind kind = policy::Kind::file,
            CheckpointKind why = CheckpointKind::periodic);

  /// What a save at `path` says of itself as an increment on the one that this run committed or
  /// restored last; nothing where it is to be full: there is none, the increments on it are many or
  /// large, or the save would replace what it goes back to.
  [[nodiscard]] std::optional<Chain> increment_at(const std::filesystem::path& path) const;

  /// It was published.
  void committed(const std::filesystem::path& path, const Record& record);
  /// All ranks saved alone, with the number that a checkpoint would have taken.
  void saved_alone();
  /// A load found `path` damaged: it no longer counts.
  void found_damaged(const std::filesystem::path& path, const Error& why);
  /// Moves what was found damaged to a name that nothing reads or deletes, and returns that.
  std::filesystem::path quarantine(const std::filesystem::path& path);
  /// `path` was restored from: it stays until a newer one is committed. `as_parent`: the next save may
  /// be an increment on it.
  void restored(const std::filesystem::path& path, bool as_parent = true);

  /// Deletes what the policy no longer keeps; the files themselves are left to `trash`, if any.
  /// `deleted(path)`, or `failed(path, why)`: tried again after the next save.
  void retain(const CheckpointPolicy& policy, Trash* trash,
              const std::function<void(const std::filesystem::path&)>& deleted,
              const std::function<void(const std::filesystem::path&, const Error&)>& failed);
  /// Deletes the oldest that a policy could delete, with the increments on it, but never the newest.
  /// Returns their paths; nothing where there is none. Throws where one cannot be deleted.
  std::vector<std::filesystem::path> drop_oldest();

 private:
  struct Member {
    std::filesystem::path path;
    Identity identity;
    bool breakpoint = false;
    codec::Digest digest = digest_of(identity);
  };

  [[nodiscard]] std::vector<const Member*> chain_of(const Member& newest) const;
  [[nodiscard]] std::map<codec::Digest, std::size_t> roots() const;
  void recover();
  void read();
  void read_lone();
  void discard_lone_of(const std::filesystem::path& path) noexcept;
  [[nodiscard]] std::vector<Found> list() const;
  [[nodiscard]] std::vector<std::filesystem::path> to_delete(const CheckpointPolicy& policy) const;

  Catalog catalog_;
  unsigned number_;
  SweepRules rules_;
  std::unique_ptr<SeriesLock> lock_;
  std::vector<std::filesystem::path> swept_;
  std::vector<Member> members_;  ///< good ones, by sequence number
  std::vector<Found> damaged_;
  std::vector<Found> lone_;
  std::uint64_t last_sequence_ = 0;
  std::optional<std::filesystem::path> protected_;
  std::optional<std::filesystem::path> last_;  ///< committed or restored by this run
};

}  // namespace cairn::storage
