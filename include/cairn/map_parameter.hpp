#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "cairn/dtype.hpp"
#include "cairn/export.hpp"
#include "cairn/slice.hpp"

namespace cairn {

/// The C++ types of keys.
template <class T>
concept MapKey = std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t>;

/// Many keys, which it refers to: a `std::span`, vector or array of `std::int32_t` or
/// `std::int64_t`, whichever of them the map is made for.
class MapKeys {
 public:
  /// Local. Valid as long as `keys` is.
  template <std::ranges::contiguous_range Keys>
    requires std::ranges::sized_range<Keys> && MapKey<std::ranges::range_value_t<Keys>>
  MapKeys(const Keys& keys)  // NOLINT(google-explicit-constructor): a view, as std::span is
      : data_(std::ranges::data(keys)),
        size_(std::ranges::size(keys)),
        narrow_(sizeof(std::ranges::range_value_t<Keys>) == sizeof(std::int32_t)) {}

  /// The number of keys.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Whether they are `std::int32_t`.
  [[nodiscard]] bool narrow() const noexcept { return narrow_; }
  /// The first one.
  [[nodiscard]] const void* data() const noexcept { return data_; }

 private:
  const void* data_;
  std::size_t size_;
  bool narrow_;
};

/// Which rank owns a key: from 0 to `ranks` - 1. Must give the same on every rank and in every run.
using MapOwner = std::function<int(std::int64_t key, int ranks)>;

/// What a `MapParameter` is made from.
struct MapSettings {
  /// int32 or int64. Keys of an int32 map must fit in 32 bits, whatever type they are given in.
  DType key_dtype = DType::int64;
  /// Of a row's elements.
  DType dtype = DType::float32;
  /// Of a row; `{}` for a single element. No extent may be 0.
  Shape row_shape{};
  /// What `get` gives for a key that is not there: the bytes of a row. Empty: zeros.
  std::vector<std::byte> default_row{};
  /// Empty: a hash of the key that is part of Cairn's format, modulo the ranks.
  MapOwner owner{};
};

/// A hash table of one rank: integer key → row of a fixed shape and type, such as an embedding that
/// grows. It owns keys and rows. Rows come and go as bytes, in native byte order and row-major
/// without gaps, or as spans of the C++ type that is the map's `dtype`.
///
/// No entry takes an allocation of its own: it takes its row and 18 to 27 bytes, and growth moves no
/// rows. Where a table is larger than the processor's caches, many keys in one call take a third of the
/// time that they take one by one.
///
/// Which rank holds which keys is the program's to see to, by `owner`: the map does not communicate.
/// Several threads may read at once; whoever changes it must be alone.
///
/// Where memory ends, `std::bad_alloc` is thrown. A call for one key has done nothing then; one for
/// many has done those before.
class CAIRN_API MapParameter {
 public:
  /// Gets each key and its row; see `for_each`.
  using Visit = std::function<void(std::int64_t key, std::span<const std::byte> row)>;

  /// Local. Throws `invalid_argument`, which names the setting.
  explicit MapParameter(MapSettings settings);
  /// Local. The same in C++ types: `MapParameter::of<std::int64_t, float>({16})`.
  template <MapKey Key, Element T>
  static MapParameter of(Shape row_shape, std::span<const T> default_row = {},
                         MapOwner owner = {}) {
    const auto bytes = std::as_bytes(default_row);
    return MapParameter({.key_dtype = dtype_of<Key>(),
                         .dtype = dtype_of<T>(),
                         .row_shape = std::move(row_shape),
                         .default_row = {bytes.begin(), bytes.end()},
                         .owner = std::move(owner)});
  }
  /// Of a map that was moved from, only the destructor and assignment may be called. A save that is
  /// under way goes on with the table that it began with.
  MapParameter(MapParameter&& other) noexcept;
  /// As above.
  MapParameter& operator=(MapParameter&& other) noexcept;
  ~MapParameter();

  /// What it was made from, with a `default_row` that is never empty: a load puts the stored one there.
  [[nodiscard]] const MapSettings& settings() const noexcept;
  /// Bytes of a row.
  [[nodiscard]] std::size_t row_bytes() const noexcept;
  /// The number of entries.
  [[nodiscard]] std::uint64_t size() const noexcept;
  /// Local. Whether there is an entry of this key. Throws `invalid_argument` where the key does not
  /// fit the map's key type, as all functions that take keys do.
  [[nodiscard]] bool contains(std::int64_t key) const;
  /// Local. The rank that owns the key, of so many. Throws `invalid_argument`, also where the
  /// function given as owner gives no rank.
  [[nodiscard]] int owner(std::int64_t key, int ranks) const;

  /// Local. Copies the key's row to `row`, or the default row where there is none; says whether
  /// there was one. `row` has `row_bytes()`.
  bool get(std::int64_t key, std::span<std::byte> row) const;
  /// Local. Of many keys, whose rows lie one after another in `rows`. Says how many were there.
  std::size_t get(MapKeys keys, std::span<std::byte> rows) const;
  /// Local. Makes an entry, or replaces its row. Either makes the key a modified one until the next
  /// save of increments, also if the row is the same.
  void put(std::int64_t key, std::span<const std::byte> row);
  /// Local. Of many keys, in their order: of a key that comes twice the last row counts.
  void put(MapKeys keys, std::span<const std::byte> rows);
  /// Local. Removes an entry; says whether it was there.
  bool erase(std::int64_t key);
  /// Local. Of many keys. Says how many were there.
  std::size_t erase(MapKeys keys);

  /// Local. As above, in the map's type.
  template <Element T, std::size_t count>
  bool get(std::int64_t key, std::span<T, count> row) const {
    check_dtype(dtype_of<T>());
    return get(key, std::span<std::byte>(std::as_writable_bytes(row)));
  }
  /// Local. As above, in the map's type.
  template <Element T, std::size_t count>
  std::size_t get(MapKeys keys, std::span<T, count> rows) const {
    check_dtype(dtype_of<T>());
    return get(keys, std::span<std::byte>(std::as_writable_bytes(rows)));
  }
  /// Local. As above, in the map's type.
  template <class T, std::size_t count>
    requires Element<std::remove_const_t<T>>
  void put(std::int64_t key, std::span<T, count> row) {
    check_dtype(dtype_of<std::remove_const_t<T>>());
    put(key, std::span<const std::byte>(std::as_bytes(row)));
  }
  /// Local. As above, in the map's type.
  template <class T, std::size_t count>
    requires Element<std::remove_const_t<T>>
  void put(MapKeys keys, std::span<T, count> rows) {
    check_dtype(dtype_of<std::remove_const_t<T>>());
    put(keys, std::span<const std::byte>(std::as_bytes(rows)));
  }

  /// Local. Erases all entries, and gives their memory back.
  void clear();
  /// Local. Memory for `entries` entries in all, so that putting them allocates nothing. Throws
  /// `invalid_argument` where they are more than 2^34.
  void reserve(std::uint64_t entries);

  /// Local. Calls `visit` for each entry, in no particular order. The row is valid during the call;
  /// the map must not be changed before all are visited.
  void for_each(const Visit& visit) const;
  /// Local. The same in the map's type: `map.for_each<float>([](std::int64_t key,
  /// std::span<const float> row) { … })`.
  template <Element T, class TypedVisit>
  void for_each(TypedVisit&& visit) const {
    check_dtype(dtype_of<T>());
    for_each([&visit](std::int64_t key, std::span<const std::byte> row) {
      visit(key, std::span(reinterpret_cast<const T*>(row.data()), row.size() / sizeof(T)));
    });
  }

 private:
  friend class MapAccess;
  struct Impl;

  void check_dtype(DType given) const {
    if (given != dtype_) refuse_dtype(given);
  }
  [[noreturn]] void refuse_dtype(DType given) const;

  std::shared_ptr<Impl> impl_;  ///< of one map, and of the save of it that is under way
  DType dtype_;  ///< that of the settings
};

}  // namespace cairn
