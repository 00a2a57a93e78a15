#include "api/run_series.hpp"

#include <utility>

#include "codec/random.hpp"
#include "coord/tell.hpp"
#include "storage/process_identity.hpp"

namespace cairn {
namespace {

/// The system's time at construction, and a steady clock from there on.
std::function<Time()> steady_system_clock() {
  const Time begin = std::chrono::system_clock::now();
  const auto steady_begin = std::chrono::steady_clock::now();
  return [=] { return begin + (std::chrono::steady_clock::now() - steady_begin); };
}

RunId random_run_id() {
  RunId id;
  codec::fill_random(id);
  return id;
}

}  // namespace

RunSeries::RunSeries(const Prefix& prefix, const Directory& directory,
                     const CheckpointConfig& config)
    : prefix_(prefix),
      directory_(directory),
      config_(config),
      clock_(settings().clock ? settings().clock : steady_system_clock()),
      run_id_(settings().run_id ? *settings().run_id : random_run_id()) {
  if (!prefix_.varies()) policy::check_prefix(prefix_.at(0));
}

storage::SweepRules RunSeries::rules() const {
  return {.identity = storage::process_identity(run_id_), .stale_after = settings().stale_after};
}

storage::Place RunSeries::place_at(std::uint64_t step) const {
  storage::Place place{directory_.at(step), prefix_.at(step)};
  policy::check_prefix(place.prefix);
  return place;
}

storage::Catalog RunSeries::catalog() const {
  if (prefix_.varies() || directory_.varies()) return {directory_.root(), std::nullopt};
  return {directory_.root(), place_at(0)};
}

void RunSeries::tell_swept(const std::vector<std::filesystem::path>& paths) const {
  for (const auto& path : paths) {
    coord::tell(settings().listener, [&](Listener& it) { it.deleted({.path = path}); });
  }
}

policy::Kind RunSeries::kind() const {
  if (!settings().integrated_save) return policy::Kind::shards;
  return settings().enc_key.empty() ? policy::Kind::file : policy::Kind::sealed;
}

storage::Series& RunSeries::series_for(const storage::Place& place) {
  if (!series_) {
    storage::Catalog known = catalog();
    known.add(place, storage::process_identity(run_id_));
    series_.emplace(storage::Series::fresh(known, rules()));
    tell_swept(series_->swept());
  }
  return *series_;
}

coord::SaveRequest RunSeries::next(std::uint64_t step, storage::CheckpointKind why) {
  const storage::Place place = place_at(step);
  auto next = series_for(place).next(place, step, settings().steps_per_epoch, kind(), why);
  coord::SaveRequest request{std::move(next.path), std::move(next.record)};
  request.record.run_id = run_id_;
  request.record.saved_at = clock_();
  if (settings().incremental) {
    request.record.chain = series_->increment_at(request.path).value_or(storage::Chain{});
  }
  return request;
}

void RunSeries::retain(const coord::SaveRequest& request, storage::Trash& trash) {
  Listener* const listener = settings().listener;
  is_used_ = true;
  series_->committed(request.path, request.record);
  series_->retain(
      config_.get_checkpoint_policy(), &trash,
      [&](const std::filesystem::path& path) {
        coord::tell(listener, [&](Listener& it) { it.deleted({.path = path}); });
      },
      [&](const std::filesystem::path& path, const Error& why) {
        coord::tell(listener, [&](Listener& it) { it.skipped({.path = path}, why.what()); });
      });
}

bool RunSeries::drop_oldest() {
  const auto dropped = series_ ? series_->drop_oldest() : std::vector<std::filesystem::path>{};
  for (const auto& path : dropped) {
    coord::tell(settings().listener, [&](Listener& it) { it.deleted({.path = path}); });
  }
  return !dropped.empty();
}

bool RunSeries::open_existing(const std::optional<std::string>& wanted) {
  if (series_ && is_used_) return use_own(wanted);
  series_.reset();
  storage::Catalog known = catalog();
  const auto passed_over = std::exchange(passed_over_, std::nullopt);
  if (wanted && passed_over) {
    throw Error(ErrorCode::not_found,
                "series \"" + *wanted + "\" has no checkpoint in " + directory_.root().string() +
                    " that can be restored: lone shards only, that are damaged, do not hold "
                    "everything, or are not accepted");
  }
  const std::optional<unsigned> number =
      wanted ? std::optional(number_of(known, *wanted))
             : storage::Series::newest_number(known, passed_over);
  if (!number) {
    tell_swept(storage::Series::sweep_places(known, rules()));
    return false;
  }
  series_.emplace(std::move(known), *number, rules());
  tell_swept(series_->swept());
  if (!series_->candidates().empty()) return true;
  series_.reset();
  if (wanted) {
    throw Error(ErrorCode::not_found, "series \"" + *wanted + "\" has no checkpoint in " +
                                          directory_.root().string());
  }
  return false;
}

void RunSeries::pass_over() {
  if (is_used_) {
    throw Error(ErrorCode::damaged, "this run's series has nothing left that can be restored");
  }
  passed_over_ = series_->number();
  series_.reset();
}

/// This run has chosen its series already.
bool RunSeries::use_own(const std::optional<std::string>& wanted) const {
  if (wanted && !series_->is_called(*wanted)) {
    throw Error(ErrorCode::invalid_argument,
                "series \"" + *wanted + "\" cannot be restored: this run uses another already");
  }
  return !series_->candidates().empty();
}

unsigned RunSeries::number_of(const storage::Catalog& known, const std::string& wanted) {
  for (const storage::Place& place : known.places()) {
    if (const auto number = policy::series_number(place.prefix, wanted)) return *number;
  }
  throw Error(ErrorCode::invalid_argument,
              "\"" + wanted + "\" is not a series of this prefix: expected the prefix, or the "
              "prefix, '_' and a number");
}

void RunSeries::restored(const std::filesystem::path& path, bool opens_alike) {
  is_used_ = true;
  series_->restored(path, opens_alike);
}

void RunSeries::saved_alone() {
  if (series_) series_->saved_alone();
}

void RunSeries::close_unused() {
  if (!is_used_) series_.reset();
}

}  // namespace cairn
