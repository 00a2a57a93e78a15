#include "storage/catalog.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

#include "cairn/error.hpp"
#include "storage/directory.hpp"
#include "storage/posix_file.hpp"

namespace cairn::storage {
namespace {

/// A damaged catalog is not read without end.
constexpr std::uint64_t kLargestCatalog = std::uint64_t{16} << 20;

void check_line(const Place& place) {
  const std::string directory = place.directory.string();
  if (directory.find_first_of("\t\n") != std::string::npos) {
    throw Error(ErrorCode::invalid_argument,
                "directory \"" + directory + "\": tabs and line ends cannot be kept in the catalog");
  }
}

}  // namespace

Catalog::Catalog(std::filesystem::path root, std::optional<Place> only)
    : root_(std::move(root)), varies_(!only) {
  if (only) {
    places_.push_back(std::move(*only));
  } else {
    read();
  }
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
    Place place{text.substr(at, tab - at), text.substr(tab + 1, end - tab - 1)};
    if (std::ranges::find(places_, place) == places_.end()) places_.push_back(std::move(place));
    at = end + 1;
  }
}

void Catalog::add(const Place& place, const policy::TemporaryName& identity) {
  const bool known = std::ranges::find(places_, place) != places_.end();
  if (!known) {
    check_line(place);
    places_.push_back(place);
  }
  if (varies_ && (!known || !std::filesystem::exists(root_ / kFileName))) write(identity);
}

void Catalog::write(policy::TemporaryName identity) const {
  ensure_directory(root_);
  std::string text;
  for (const Place& place : places_) text += place.directory.string() + "\t" + place.prefix + "\n";
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
