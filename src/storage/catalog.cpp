#include "storage/catalog.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

#include "cairn/error.hpp"
#include "storage/directory.hpp"
#include "storage/posix_file.hpp"
#include "storage/series_lock.hpp"

namespace cairn::storage {
namespace {

/// A damaged catalog is not read without end.
constexpr std::uint64_t kLargestCatalog = std::uint64_t{16} << 20;

void check_line(const Place& place) {
  for (const std::string& text : {place.directory.string(), place.prefix}) {
    if (text.find_first_of("\t\n") == std::string::npos) continue;
    throw Error(ErrorCode::invalid_argument,
                "\"" + text + "\": tabs and line ends cannot be kept in the catalog");
  }
}

/// Each directory by one name alone, lest its checkpoints count twice.
Place normal(Place place) {
  place.directory = place.directory.lexically_normal();
  if (!place.directory.has_filename()) place.directory = place.directory.parent_path();
  if (place.directory == ".") place.directory.clear();
  return place;
}

}  // namespace

Catalog::Catalog(std::filesystem::path root, std::optional<Place> only)
    : root_(std::move(root)), varies_(!only) {
  if (only) {
    take(std::move(*only));
  } else {
    read();
  }
}

void Catalog::take(Place place) {
  place = normal(std::move(place));
  if (std::ranges::find(places_, place) == places_.end()) places_.push_back(std::move(place));
}

void Catalog::read() {
  const auto path = root_ / kFileName;
  if (!std::filesystem::exists(path)) return;
  const PosixFile file = PosixFile::open_for_reading(path);
  if (file.size() > kLargestCatalog) {
    throw Error(ErrorCode::damaged, path.string() + " has " + std::to_string(file.size()) +
                                        " bytes, more than a catalog can have");
  }
  std::string text(file.size(), '\0');
  file.read(std::as_writable_bytes(std::span(text)), 0);
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t tab = text.find('\t', at);
    if (tab >= end) {
      throw Error(ErrorCode::damaged, path.string() + ", line " + std::to_string(line) +
                                          ": expected a directory, a tab and a prefix");
    }
    take({text.substr(at, tab - at), text.substr(tab + 1, end - tab - 1)});
    at = end + 1;
  }
}

Place Catalog::add(Place place, const policy::TemporaryName& identity) {
  place = normal(std::move(place));
  const bool known = std::ranges::find(places_, place) != places_.end();
  if (known && (!varies_ || std::filesystem::exists(root_ / kFileName))) return place;
  if (varies_) {
    check_line(place);
    ensure_directory(root_);
    // Two jobs that add a place at the same time take turns, and neither forgets the other's.
    constexpr std::chrono::seconds kPatience{10};
    const SeriesLock turn(root_, kFileName, identity, kPatience);
    read();
    write(place, identity);
  }
  take(place);
  return place;
}

void Catalog::write(const Place& added, policy::TemporaryName identity) const {
  std::vector<Place> all = places_;
  if (std::ranges::find(all, added) == all.end()) all.push_back(added);
  std::string text;
  for (const Place& place : all) text += place.directory.string() + "\t" + place.prefix + "\n";
  identity.trash = false;
  identity.final_name = kFileName;
  const auto temporary = root_ / policy::format(identity);
  std::filesystem::remove(temporary);
  {
    const PosixFile file = PosixFile::create(temporary);
    static_cast<void>(file.try_lock_shared());  // against sweeps; it is there for a moment only
    file.write(std::as_bytes(std::span(text)), 0);
    file.sync();
    rename_entry(temporary, root_ / kFileName);
  }
  sync_directory(root_);
}

}  // namespace cairn::storage
