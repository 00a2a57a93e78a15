#include "storage/series.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <limits>
#include <set>

#include "policy/chain.hpp"
#include "storage/chain_link.hpp"
#include "storage/lone_shard.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

fs::path directory_of(const Catalog& catalog, const Place& place) {
  return place.directory.empty() ? catalog.root() : catalog.root() / place.directory;
}

std::set<fs::path> directories(const Catalog& catalog) {
  std::set<fs::path> all;
  for (const Place& place : catalog.places()) all.insert(directory_of(catalog, place));
  return all;
}

/// Whether two paths bear the same name in any kind, aside or not.
bool is_same_checkpoint(const fs::path& a, const fs::path& b) {
  const auto name_a = policy::parse_checkpoint_name(a.filename().string());
  const auto name_b = policy::parse_checkpoint_name(b.filename().string());
  return name_a && name_b && policy::stem(*name_a) == policy::stem(*name_b) &&
         a.parent_path() == b.parent_path();
}

bool is_same_stem(const fs::path& directory, const policy::CheckpointName& name,
                  const fs::path& path) {
  const auto other = policy::parse_checkpoint_name(path.filename().string());
  return other && policy::stem(*other) == policy::stem(name) && directory == path.parent_path();
}

/// The checkpoints of any series of the catalog's places.
template <class Visit>
void for_each_checkpoint(const Catalog& catalog, Visit&& visit) {
  for (const Place& place : catalog.places()) {
    for (Found& found : list_checkpoints(directory_of(catalog, place))) {
      if (const auto number = policy::series_number(place.prefix, found.name.series)) {
        visit(std::move(found), *number, place);
      }
    }
  }
}

/// The same of what ranks saved alone.
template <class Visit>
void for_each_lone_set(const Catalog& catalog, Visit&& visit) {
  for (const Place& place : catalog.places()) {
    for (Found& found : list_lone_sets(directory_of(catalog, place))) {
      if (const auto number = policy::series_number(place.prefix, found.name.series)) {
        visit(std::move(found), *number, place);
      }
    }
  }
}

}  // namespace

std::optional<unsigned> Series::newest_number(const Catalog& catalog,
                                              std::optional<unsigned> below) {
  std::optional<unsigned> newest;
  const auto count = [&](const Found&, unsigned number, const Place&) {
    if (!below || number < *below) newest = std::max(newest.value_or(0), number);
  };
  for_each_checkpoint(catalog, count);
  for_each_lone_set(catalog, count);
  return newest;
}

unsigned Series::fresh_number(const Catalog& catalog) {
  unsigned fresh = 0;
  for (const Place& place : catalog.places()) {
    std::vector<policy::CheckpointName> names;
    for (Found& found : list_checkpoints(directory_of(catalog, place))) {
      names.push_back(std::move(found.name));
    }
    for (Found& found : list_lone_sets(directory_of(catalog, place))) {
      names.push_back(std::move(found.name));
    }
    fresh = std::max(fresh, policy::fresh_series_number(place.prefix, names));
  }
  return fresh;
}

std::vector<fs::path> Series::sweep_places(const Catalog& catalog, const SweepRules& rules) {
  std::vector<fs::path> all;
  for (const fs::path& directory : directories(catalog)) {
    const auto removed = sweep(directory, rules);
    all.insert(all.end(), removed.begin(), removed.end());
  }
  return all;
}

Series::Series(Catalog catalog, unsigned number, const SweepRules& rules)
    : catalog_(std::move(catalog)), number_(number), rules_(rules) {
  ensure_directory(catalog_.root());
  lock_ = std::make_unique<SeriesLock>(
      catalog_.root(), policy::series_name(catalog_.places().front().prefix, number_),
      rules_.identity, rules_.patience);
  swept_ = sweep_places(catalog_, rules_);
  recover();
  read();
}

Series Series::fresh(const Catalog& catalog, const SweepRules& rules) {
  for (;;) {
    Series series(catalog, fresh_number(catalog), rules);
    // Another fresh run may have had the number, and come and gone, before the lock was ours.
    if (series.candidates().empty()) return series;
  }
}

std::vector<Found> Series::list() const {
  std::vector<Found> mine;
  for_each_checkpoint(catalog_, [&](Found found, unsigned number, const Place&) {
    if (number != number_) return;
    read_identity(found);
    mine.push_back(std::move(found));
  });
  std::ranges::stable_sort(mine, std::ranges::greater{}, [](const Found& found) {
    return found.identity ? found.identity->sequence : 0;
  });
  return mine;
}

void Series::recover() {
  const std::vector<Found> all = list();
  for (const Found& old : all) {
    if (!old.name.replaced) continue;
    const auto newer = std::ranges::find_if(all, [&](const Found& found) {
      return !found.name.replaced && is_same_checkpoint(found.path, old.path);
    });
    if (newer == all.end()) {
      fs::path name = old.path;
      rename_entry(old.path, name.replace_extension());
      sync_directory(old.path.parent_path());
    } else if (newer->identity) {
      remove_checkpoint(old.path, rules_.identity);
    }
  }
  for (const Place& place : catalog_.places()) {
    const auto is_ours = [&](const std::string& series) {
      return policy::series_number(place.prefix, series) == number_;
    };
    recover_lone_files(directory_of(catalog_, place), is_ours, rules_.identity);
  }
}

void Series::read() {
  for (Found& found : list()) {
    if (!found.identity) {
      damaged_.push_back(std::move(found));
      continue;
    }
    last_sequence_ = std::max(last_sequence_, found.identity->sequence);
    members_.push_back({found.path, *found.identity, found.name.breakpoint});
  }
  std::ranges::stable_sort(members_, {}, [](const Member& m) { return m.identity.sequence; });
  read_lone();
}

void Series::read_lone() {
  lone_.clear();
  for_each_lone_set(catalog_, [&](Found found, unsigned number, const Place&) {
    if (number != number_) return;
    if (found.identity) last_sequence_ = std::max(last_sequence_, found.identity->sequence);
    lone_.push_back(std::move(found));
  });
}

bool Series::is_called(const std::string& series) const {
  return std::ranges::any_of(catalog_.places(), [&](const Place& place) {
    return policy::series_name(place.prefix, number_) == series;
  });
}

std::vector<Found> Series::candidates() const {
  std::vector<Found> all = damaged_;
  for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
    all.push_back({.path = member->path,
                   .name = *policy::parse_checkpoint_name(member->path.filename().string()),
                   .identity = member->identity,
                   .problem = std::nullopt});
  }
  all.insert(all.end(), lone_.begin(), lone_.end());
  // Two ranks that each left the loop by itself gave the same number, perhaps at different steps.
  std::ranges::stable_sort(all, std::ranges::greater{}, [](const Found& found) {
    constexpr auto kUnknown = std::numeric_limits<std::uint64_t>::max();
    return found.identity ? newness(*found.identity) : std::pair(kUnknown, Time{});
  });
  return all;
}

Series::Next Series::next(const Place& place, std::uint64_t step, std::uint64_t steps_per_epoch,
                          policy::Kind kind, CheckpointKind why) {
  const Place known = catalog_.add(place, rules_.identity);
  const auto [epoch, step_in_epoch] = policy::epoch_step(step, steps_per_epoch);
  Next next;
  next.record.series = policy::series_name(known.prefix, number_);
  next.record.step = step;
  next.record.epoch = epoch;
  next.record.step_in_epoch = step_in_epoch;
  next.record.steps_per_epoch = steps_per_epoch;
  next.record.sequence = last_sequence_ + 1;
  next.record.kind = why;
  next.path =
      directory_of(catalog_, known) / policy::format({.series = next.record.series,
                                                      .epoch = epoch,
                                                      .step_in_epoch = step_in_epoch,
                                                      .breakpoint = why == CheckpointKind::breakpoint,
                                                      .kind = kind});
  return next;
}

/// `newest` and what it goes back to; ends with the full one unless one is missing.
std::vector<const Series::Member*> Series::chain_of(const Member& newest) const {
  std::vector<const Member*> links{&newest};
  while (links.back()->identity.chain.is_increment()) {
    const codec::Digest& parent = links.back()->identity.chain.parent_digest;
    const auto at = std::ranges::find(members_, parent, &Member::digest);
    if (at == members_.end() || links.size() > members_.size()) break;
    links.push_back(&*at);
  }
  return links;
}

std::optional<Chain> Series::increment_at(const fs::path& path) const {
  constexpr std::size_t kLongestParent = 256;
  const auto newest = std::ranges::find_if(
      members_, [this](const Member& member) { return member.path == last_; });
  if (newest == members_.end()) return std::nullopt;
  const std::vector<const Member*> links = chain_of(*newest);
  const Identity& base = links.back()->identity;
  policy::ChainSoFar so_far{links.size() - 1, base.chain.map_bytes, 0};
  for (const Member* link : links) {
    if (is_same_checkpoint(link->path, path)) return std::nullopt;
    so_far.increment_bytes += link->identity.chain.map_bytes;
  }
  so_far.increment_bytes -= base.chain.map_bytes;
  Chain chain;
  chain.base = base.sequence;
  chain.position = newest->identity.chain.position + 1;
  chain.parent = newest->path.lexically_normal()
                     .lexically_relative(path.parent_path().lexically_normal())
                     .string();
  chain.parent_digest = newest->digest;
  if (base.chain.is_increment() || policy::is_full_due(so_far) || chain.parent.empty() ||
      chain.parent.size() > kLongestParent) {
    return std::nullopt;
  }
  // Where no way leads back the save is a full one.
  std::error_code ignored;
  const bool leads_back = fs::equivalent(parent_of(path, chain), newest->path, ignored);
  return leads_back ? std::optional(chain) : std::nullopt;
}

void Series::committed(const fs::path& path, const Record& record) {
  // The other kinds of the name, and what stood aside since a crash, went with it.
  const auto is_same = [&](const auto& other) { return is_same_checkpoint(other.path, path); };
  std::erase_if(members_, is_same);
  std::erase_if(damaged_, is_same);
  members_.push_back({path, record, record.kind == CheckpointKind::breakpoint});
  last_ = path;
  last_sequence_ = record.sequence;
  protected_.reset();
  if (record.kind == CheckpointKind::breakpoint) discard_lone_of(path);
}

/// The kinds of one name are one checkpoint: what ranks saved alone under it is replaced, too.
void Series::discard_lone_of(const fs::path& path) noexcept {
  for (auto found = lone_.begin(); found != lone_.end();) {
    bool is_replaced = false;
    try {
      is_replaced = is_same_stem(found->path.parent_path(), found->name, path);
      if (is_replaced) {
        for (const fs::path& file : lone_files(found->path)) {
          remove_checkpoint(file, rules_.identity);
        }
      }
    } catch (const std::exception&) {
      // The new one is published; what is left is older and told apart by its sequence number.
    }
    found = is_replaced ? lone_.erase(found) : std::next(found);
  }
}

void Series::saved_alone() {
  ++last_sequence_;
  read_lone();
}

void Series::found_damaged(const fs::path& path, const Error& why) {
  const auto at = std::ranges::find(members_, path, &Member::path);
  if (at == members_.end()) return;
  damaged_.push_back(
      {path, *policy::parse_checkpoint_name(path.filename().string()), std::nullopt, why});
  members_.erase(at);
}

fs::path Series::quarantine(const fs::path& path) {
  fs::path aside = quarantine_checkpoint(path);
  std::erase_if(damaged_, [&](const Found& found) { return found.path == path; });
  return aside;
}

void Series::restored(const fs::path& path, bool as_parent) {
  protected_ = path;
  // A name that stands aside for a crash's sake is not kept.
  const auto name = policy::parse_checkpoint_name(path.filename().string());
  last_.reset();
  if (as_parent && name && !name->replaced) last_ = path;
}

}  // namespace cairn::storage
