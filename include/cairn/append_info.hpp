#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cairn/dtype.hpp"
#include "cairn/export.hpp"
#include "cairn/slice.hpp"
#include "cairn/source.hpp"

namespace cairn {

/// A parameter or tensor to append, by reference: stored is what lies there at the time of each
/// save. Sliced or replicated like a tensor of a `State`, one box per rank; a rank that holds none
/// of it leaves the key out.
class CAIRN_API AppendTensor {
 public:
  /// The elements of `slice` in row-major order. One of `std::span<const T>` is saved and never
  /// filled.
  template <class T, std::size_t count>
    requires Element<std::remove_const_t<T>>
  AppendTensor(std::span<T, count> values, Slice slice)
      : slice_(std::move(slice)),
        source_(Source::memory(dtype_of<std::remove_const_t<T>>(), values.data())),
        given_bytes_(values.size_bytes()) {}
  /// A scalar, the same on every rank that gives it.
  template <Element T>
  explicit AppendTensor(T& scalar) : source_(Source::memory(dtype_of<T>(), &scalar)) {}
  /// Any memory layout, or callbacks.
  AppendTensor(Slice slice, Source source)
      : slice_(std::move(slice)), source_(std::move(source)) {}

  /// The box of it that this rank holds.
  [[nodiscard]] const Slice& slice() const noexcept { return slice_; }
  /// Where the box's elements are.
  [[nodiscard]] const Source& source() const noexcept { return source_; }
  /// Bytes behind a span, where one was given; checked against the slice.
  [[nodiscard]] const std::optional<std::uint64_t>& given_bytes() const noexcept {
    return given_bytes_;
  }

 private:
  Slice slice_;
  Source source_;
  std::optional<std::uint64_t> given_bytes_;
};

/// A value to append: an integer, a float, a bool, a text, or a tensor. Other types do not compile,
/// characters and pointers among them.
class CAIRN_API AppendValue {
 public:
  /// What it is kept as.
  using Value = std::variant<std::int64_t, double, bool, std::string, AppendTensor>;

  /// bool, or an integer. Throws `invalid_argument` for one that does not fit into 64 bits with a
  /// sign.
  template <std::integral T>
    requires(sizeof(T) <= sizeof(std::int64_t))
  AppendValue(T number) : value_(kept(number)) {}  // NOLINT: a plain value is meant
  /// A float becomes a double, which it is exactly.
  template <class T>
    requires(std::same_as<T, double> || std::same_as<T, float>)
  AppendValue(T number) : value_(double{number}) {}  // NOLINT
  /// UTF-8 without zero bytes, at most 64 KiB: `CheckpointConfig` and `save` say so. Null throws
  /// `invalid_argument`.
  AppendValue(const char* text);  // NOLINT
  /// The same.
  AppendValue(std::string text) : value_(std::move(text)) {}  // NOLINT
  /// The same.
  AppendValue(std::string_view text) : value_(std::string(text)) {}  // NOLINT
  /// A tensor.
  AppendValue(AppendTensor tensor) : value_(std::move(tensor)) {}  // NOLINT
  AppendValue(std::nullptr_t) = delete;  ///< it is no text
  AppendValue(char) = delete;            ///< a text of one, or a number? say which
  AppendValue(wchar_t) = delete;         ///< see `char`
  AppendValue(char8_t) = delete;         ///< see `char`
  AppendValue(char16_t) = delete;        ///< see `char`
  AppendValue(char32_t) = delete;        ///< see `char`

  /// It, with its type.
  [[nodiscard]] const Value& value() const noexcept { return value_; }

 private:
  [[noreturn]] static void refuse_number(std::uint64_t number);

  template <std::integral T>
  static Value kept(T number) {
    if constexpr (std::same_as<T, bool>) {
      return number;
    } else {
      if (!std::in_range<std::int64_t>(number)) refuse_number(static_cast<std::uint64_t>(number));
      return static_cast<std::int64_t>(number);
    }
  }

  Value value_;
};

/// The dictionary of append_info: `{{"lr", 0.1}, {"seed", 42}, {"note", "a text"}}`. A key is any
/// text but the empty one. In the settings of a `ModelCheckpoint` the keys "epoch_num" and
/// "step_num" are counters, and their integers what is added to them.
class CAIRN_API AppendDict {
 public:
  /// In bytewise order of the keys.
  using Entries = std::map<std::string, AppendValue, std::less<>>;

  /// Without entries.
  AppendDict() = default;
  /// Throws `invalid_argument` for a key that is there twice.
  AppendDict(std::initializer_list<std::pair<std::string, AppendValue>> entries);

  /// Local. Adds one. Throws `invalid_argument` for a key that is there already.
  AppendDict& add(std::string key, AppendValue value);

  /// All of them.
  [[nodiscard]] const Entries& entries() const& noexcept { return entries_; }
  /// The same, of one that goes.
  [[nodiscard]] Entries entries() && noexcept { return std::move(entries_); }
  /// Whether there are none.
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

 private:
  Entries entries_;
};

/// An item of `CheckpointSettings::append_info`: the text "epoch_num" or "step_num", a counter that
/// counts from what it is; or the dictionary.
class AppendItem {
 public:
  /// A counter by its name. What is wrong with it, `CheckpointConfig` says.
  AppendItem(const char* counter) : value_(std::string(counter)) {}  // NOLINT: a text is an item
  /// The same.
  AppendItem(std::string counter) : value_(std::move(counter)) {}  // NOLINT
  /// The dictionary.
  AppendItem(AppendDict dictionary) : value_(std::move(dictionary)) {}  // NOLINT

  /// The one or the other.
  [[nodiscard]] const std::variant<std::string, AppendDict>& value() const noexcept {
    return value_;
  }

 private:
  std::variant<std::string, AppendDict> value_;
};

/// A tensor that was appended to a checkpoint, told without its values.
struct AppendedTensor {
  DType dtype{};  ///< of its elements
  Shape shape;    ///< of the whole tensor

  /// Whether both are alike.
  bool operator==(const AppendedTensor&) const = default;
};

/// A value as a checkpoint gives it back. What was appended as a scalar tensor of type int64,
/// float64 or bool comes back as that number.
using AppendedValue = std::variant<std::int64_t, double, bool, std::string, AppendedTensor>;

/// What was appended to a checkpoint, counters too, in bytewise order of the keys.
using AppendedInfo = std::map<std::string, AppendedValue, std::less<>>;

}  // namespace cairn
