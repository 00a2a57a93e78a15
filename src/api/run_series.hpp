#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cairn/config.hpp"
#include "cairn/model_checkpoint.hpp"
#include "coord/target.hpp"
#include "storage/series.hpp"

namespace cairn {

/// Rank 0's part of a ModelCheckpoint, without MPI: which series this run uses, what the next
/// checkpoint is called, what may be deleted. Used by one thread at a time.
class RunSeries {
 public:
  /// All that it is given must outlive it. Throws `invalid_argument` for a bad prefix. Touches no
  /// disk.
  RunSeries(const Prefix& prefix, const Directory& directory, const CheckpointConfig& config);

  [[nodiscard]] Time now() const { return clock_(); }
  /// Where a checkpoint of `step` goes and what it says of itself. The series of this run is chosen
  /// at its first save, unless it restored one.
  coord::SaveRequest next(std::uint64_t step, storage::CheckpointKind why);
  /// The checkpoint of `request` is durable: counts it, and deletes what the policy no longer keeps.
  void retain(const coord::SaveRequest& request, storage::Trash& trash);

  /// Without space: deletes the oldest checkpoint that it may. False where there is none.
  bool drop_oldest();

  /// Opens the series to restore: this run's own, where it has saved, else the wanted one or the one
  /// with the highest number. False where there is no checkpoint at all.
  bool open_existing(const std::optional<std::string>& wanted);
  /// The open one has no checkpoint after all: `open_existing` takes one before it from here on.
  void pass_over();
  /// The next three are about the open one.
  [[nodiscard]] std::vector<storage::Found> candidates() const { return series_->candidates(); }
  void found_damaged(const std::filesystem::path& path, const Error& why) {
    series_->found_damaged(path, why);
  }
  std::filesystem::path quarantine(const std::filesystem::path& path) {
    return series_->quarantine(path);
  }
  /// This run goes on from `path`, in its series; `opens_alike`: what it saves is opened by what
  /// opened that, so increments may be on it.
  void restored(const std::filesystem::path& path, bool opens_alike);
  /// All ranks of this run saved alone.
  void saved_alone();
  /// Without a committed save or restore of this run the series was only looked at.
  void close_unused();

 private:
  [[nodiscard]] const CheckpointSettings& settings() const { return config_.settings(); }
  [[nodiscard]] storage::SweepRules rules() const;
  [[nodiscard]] storage::Place place_at(std::uint64_t step) const;
  [[nodiscard]] storage::Catalog catalog() const;
  storage::Series& series_for(const storage::Place& place);
  [[nodiscard]] bool use_own(const std::optional<std::string>& wanted) const;
  [[nodiscard]] static unsigned number_of(const storage::Catalog& known, const std::string& wanted);
  [[nodiscard]] policy::Kind kind() const;
  void tell_swept(const std::vector<std::filesystem::path>& paths) const;

  const Prefix& prefix_;
  const Directory& directory_;
  const CheckpointConfig& config_;
  std::function<Time()> clock_;
  RunId run_id_{};
  std::optional<storage::Series> series_;
  std::optional<unsigned> passed_over_;  ///< the number of the last
  bool is_used_ = false;  ///< this run saved into it, or restored from it
};

}  // namespace cairn
