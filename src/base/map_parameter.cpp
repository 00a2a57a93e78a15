#include "cairn/map_parameter.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "base/map_access.hpp"
#include "base/map_hash.hpp"
#include "cairn/error.hpp"

namespace cairn {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

std::string describe_row(const MapSettings& settings) {
  return std::string(to_string(settings.dtype)) + " " + to_string(settings.row_shape);
}

void check_types(const MapSettings& settings) {
  const auto named = [](DType dtype) {
    const auto number = static_cast<std::uint8_t>(dtype);
    return number < kDTypeCount ? std::string(to_string(dtype)) : "DType " + std::to_string(number);
  };
  if (settings.key_dtype != DType::int32 && settings.key_dtype != DType::int64) {
    refuse("MapSettings::key_dtype: " + named(settings.key_dtype) +
           " given, int32 or int64 expected");
  }
  if (static_cast<std::uint8_t>(settings.dtype) >= kDTypeCount) {
    refuse("MapSettings::dtype: " + named(settings.dtype) + " given, one of the " +
           std::to_string(kDTypeCount) + " dtypes expected");
  }
}

/// Throws what is wrong with the settings.
std::size_t row_bytes_of(const MapSettings& settings) {
  check_types(settings);
  const std::uint64_t elements = element_count(settings.row_shape);
  const std::size_t element_bytes = size_of(settings.dtype);
  if (elements == 0 || elements > MapRows::kMostRowBytes / element_bytes) {
    refuse("MapSettings::row_shape: " + to_string(settings.row_shape) +
           " given, extents of at least 1 and a row of at most 2^40 bytes expected");
  }
  const std::size_t bytes = elements * element_bytes;
  if (!settings.default_row.empty() && settings.default_row.size() != bytes) {
    refuse("MapSettings::default_row: " + std::to_string(settings.default_row.size()) +
           " bytes given, " + std::to_string(bytes) + " expected (" + describe_row(settings) +
           ") or none");
  }
  return bytes;
}

constexpr bool fits_int32(std::int64_t key) noexcept {
  return key >= std::numeric_limits<std::int32_t>::min() &&
         key <= std::numeric_limits<std::int32_t>::max();
}

[[noreturn, gnu::noinline]] void refuse_key() {
  refuse("a key for a MapParameter does not fit its key type, int32");
}

void check_key(const MapSettings& settings, std::int64_t key) {
  if (settings.key_dtype != DType::int64 && !fits_int32(key)) refuse_key();
}

/// All of them before any is used, so that a refused batch changes nothing.
void check_keys(const MapSettings& settings, const MapKeys& keys) {
  if (settings.key_dtype == DType::int64 || keys.narrow()) return;
  const std::span all(static_cast<const std::int64_t*>(keys.data()), keys.size());
  const auto bad = std::ranges::find_if_not(all, fits_int32);
  if (bad == all.end()) return;
  refuse("keys for a MapParameter: number " + std::to_string(bad - all.begin()) + " of " +
         std::to_string(all.size()) + " (counted from 0) does not fit its key type, int32");
}

[[noreturn, gnu::noinline]] void refuse_row(const MapSettings& settings, std::size_t row_bytes,
                                            std::size_t given) {
  refuse("a row of a MapParameter: " + std::to_string(given) + " bytes given, " +
         std::to_string(row_bytes) + " expected (" + describe_row(settings) + ")");
}

void check_rows(const MapSettings& settings, std::size_t row_bytes, std::size_t keys,
                std::size_t given) {
  if (given % row_bytes == 0 && given / row_bytes == keys) return;
  refuse("rows of a MapParameter: " + std::to_string(given) + " bytes given for " +
         std::to_string(keys) + " keys, " + std::to_string(row_bytes) + " for each expected (" +
         describe_row(settings) + ")");
}

/// Calls `visit(first, keys)` with all keys, those from number `first` on: as they are, or widened
/// piece by piece.
template <class Visit>
void for_wide_keys(const MapKeys& keys, Visit&& visit) {
  if (!keys.narrow()) {
    visit(std::size_t{0}, std::span(static_cast<const std::int64_t*>(keys.data()), keys.size()));
    return;
  }
  constexpr std::size_t kPiece = 512;
  std::array<std::int64_t, kPiece> wide;
  const std::span all(static_cast<const std::int32_t*>(keys.data()), keys.size());
  for (std::size_t first = 0; first < all.size(); first += kPiece) {
    const auto piece = all.subspan(first, std::min(kPiece, all.size() - first));
    std::ranges::copy(piece, wide.begin());
    visit(first, std::span<const std::int64_t>(wide).first(piece.size()));
  }
}

// What a lookup rarely needs. They take what `get` and `put` take, so that these keep nothing for
// them.

[[gnu::noinline]] bool get_slowly(const MapParameter& map, std::int64_t key,
                                  std::span<std::byte> row) {
  check_key(map.settings(), key);
  if (row.size() != map.row_bytes()) refuse_row(map.settings(), map.row_bytes(), row.size());
  return MapAccess::table(map).get(key, row.data());
}

[[gnu::noinline]] void put_slowly(MapParameter& map, std::int64_t key,
                                  std::span<const std::byte> row) {
  check_key(map.settings(), key);
  if (row.size() != map.row_bytes()) refuse_row(map.settings(), map.row_bytes(), row.size());
  MapAccess::table(map).put(key, row.data());
}

}  // namespace

MapParameter::MapParameter(MapSettings settings) : dtype_(settings.dtype) {
  settings.default_row.resize(row_bytes_of(settings));
  MapTable table(settings.default_row);
  impl_ = std::make_shared<Impl>(Impl{std::move(settings), std::move(table)});
}

MapParameter::MapParameter(MapParameter&& other) noexcept = default;
MapParameter& MapParameter::operator=(MapParameter&& other) noexcept = default;
MapParameter::~MapParameter() = default;

const MapSettings& MapParameter::settings() const noexcept {
  return impl_->settings;
}
std::size_t MapParameter::row_bytes() const noexcept {
  return impl_->table.row_bytes();
}
std::uint64_t MapParameter::size() const noexcept {
  return impl_->table.size();
}

bool MapParameter::contains(std::int64_t key) const {
  check_key(impl_->settings, key);
  return impl_->table.find(key) != MapRows::kNone;
}

int MapParameter::owner(std::int64_t key, int ranks) const {
  check_key(impl_->settings, key);
  if (ranks < 1) {
    refuse("MapParameter::owner: " + std::to_string(ranks) + " ranks given, at least 1 expected");
  }
  if (!impl_->settings.owner) return default_owner(key, ranks);
  const int rank = impl_->settings.owner(key, ranks);
  if (rank < 0 || rank >= ranks) {
    refuse("MapSettings::owner: the function gave rank " + std::to_string(rank) + " of " +
           std::to_string(ranks) + " ranks, 0 to " + std::to_string(ranks - 1) + " expected");
  }
  return rank;
}

// A key that is there needs no check, as those that do not fit never are.
bool MapParameter::get(std::int64_t key, std::span<std::byte> row) const {
  const auto& [settings, table] = *impl_;
  if (row.size() != table.line_bytes()) [[unlikely]]
    return get_slowly(*this, key, row);
  const MapTable::Number first = table.first(key);
  if (first < MapIndex::kUnsure && table.key(first) == key) {
    MapTable::copy_lines(row.data(), table.row(first), row.size());
    return true;
  }
  if (first != MapIndex::kNone || settings.key_dtype != DType::int64) {
    return get_slowly(*this, key, row);
  }
  MapTable::copy_lines(row.data(), table.default_row().data(), row.size());
  return false;
}

std::size_t MapParameter::get(MapKeys keys, std::span<std::byte> rows) const {
  check_keys(impl_->settings, keys);
  check_rows(impl_->settings, row_bytes(), keys.size(), rows.size());
  std::size_t found = 0;
  for_wide_keys(keys, [&](std::size_t first, std::span<const std::int64_t> wide) {
    found += impl_->table.get(wide, rows.data() + first * row_bytes());
  });
  return found;
}

void MapParameter::put(std::int64_t key, std::span<const std::byte> row) {
  MapTable& table = impl_->table;
  if (row.size() == table.line_bytes()) {
    const MapTable::Number first = table.first(key);
    if (first < MapIndex::kUnsure && table.key(first) == key) {
      return table.replace_lines(first, row.data(), row.size());
    }
  }
  put_slowly(*this, key, row);
}

void MapParameter::put(MapKeys keys, std::span<const std::byte> rows) {
  check_keys(impl_->settings, keys);
  check_rows(impl_->settings, row_bytes(), keys.size(), rows.size());
  for_wide_keys(keys, [&](std::size_t first, std::span<const std::int64_t> wide) {
    impl_->table.put(wide, rows.data() + first * row_bytes());
  });
}

bool MapParameter::erase(std::int64_t key) {
  check_key(impl_->settings, key);
  return impl_->table.erase(key);
}

std::size_t MapParameter::erase(MapKeys keys) {
  check_keys(impl_->settings, keys);
  std::size_t erased = 0;
  for_wide_keys(keys, [&](std::size_t, std::span<const std::int64_t> wide) {
    erased += impl_->table.erase(wide);
  });
  return erased;
}

void MapParameter::clear() {
  impl_->table.clear();
}
void MapParameter::reserve(std::uint64_t entries) {
  impl_->table.reserve(entries);
}

void MapParameter::for_each(const Visit& visit) const {
  const MapTable& table = impl_->table;
  table.visit_all([&](MapTable::Number number) {
    visit(table.key(number), {table.row(number), table.row_bytes()});
  });
}

void MapParameter::refuse_dtype(DType given) const {
  refuse("rows of a MapParameter: elements of " + std::string(to_string(given)) + " given, " +
         std::string(to_string(dtype_)) + " expected");
}

}  // namespace cairn
