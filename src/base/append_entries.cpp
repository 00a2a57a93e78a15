#include "base/append_entries.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "cairn/error.hpp"

namespace cairn {
namespace {

Bytes bytes_of(const void* data, std::size_t count) {
  const auto* const begin = static_cast<const std::byte*>(data);
  return {begin, begin + count};
}

State::Entry plain_entry(const std::string& key, DType dtype, Slice slice, Bytes bytes) {
  const auto owned = std::make_shared<const Bytes>(std::move(bytes));
  const std::size_t size = size_of(dtype);
  auto read = [owned, size](std::uint64_t first, std::uint64_t count, std::byte* out) {
    std::memcpy(out, owned->data() + first * size, count * size);
  };
  return {.name = key,
          .slice = std::move(slice),
          .source = Source::callbacks(dtype, std::move(read)),
          .given_bytes = std::nullopt,
          .family = Family::append_info};
}

struct EntryOf {
  const std::string& key;

  template <Element T>
  State::Entry operator()(const T& number) const {
    return plain_entry(key, dtype_of<T>(), Slice{}, bytes_of(&number, sizeof number));
  }
  /// HDF5 has no string of no bytes: an empty text is a zero byte.
  State::Entry operator()(const std::string& text) const {
    Bytes bytes = text.empty() ? Bytes(1) : bytes_of(text.data(), text.size());
    Slice slice = whole({bytes.size()});
    State::Entry entry = plain_entry(key, DType::uint8, std::move(slice), std::move(bytes));
    entry.is_text = true;
    return entry;
  }
  State::Entry operator()(const AppendTensor& tensor) const {
    return {.name = key,
            .slice = tensor.slice(),
            .source = tensor.source(),
            .given_bytes = tensor.given_bytes(),
            .family = Family::append_info};
  }
};

template <class T>
T number_in(std::span<const std::byte> bytes) {
  T number{};
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

[[noreturn]] void refuse(const TensorInfo& stored, const char* why) {
  throw Error(ErrorCode::damaged, label(stored) + " " + why);
}

std::string text_in(const TensorInfo& stored, std::span<const std::byte> bytes) {
  if (bytes.size() == 1 && bytes[0] == std::byte{0}) return {};
  if (std::ranges::find(bytes, std::byte{0}) != bytes.end()) {
    refuse(stored, "is a text with a zero byte in it");
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

State with_append_info(State state, const AppendDict& dict) {
  for (const auto& [key, value] : dict.entries()) {
    StateExtension::add(state, std::visit(EntryOf{key}, value.value()));
  }
  return state;
}

void add_entries_to_fill(State& state, const AppendDict& dict) {
  for (const auto& [key, value] : dict.entries()) {
    const auto* const tensor = std::get_if<AppendTensor>(&value.value());
    if (tensor != nullptr && tensor->source().writable()) {
      StateExtension::add(state, EntryOf{key}(*tensor));
    }
  }
}

void put_plain_values(WireWriter& writer, const AppendDict& dict) {
  for (const auto& [key, value] : dict.entries()) {
    if (std::holds_alternative<AppendTensor>(value.value())) continue;
    writer.put_text(key).put(value.value().index());
    if (const auto* const text = std::get_if<std::string>(&value.value())) writer.put_text(*text);
    if (const auto* const n = std::get_if<std::int64_t>(&value.value())) writer.put(*n);
    if (const auto* const x = std::get_if<double>(&value.value())) writer.put(*x);
    if (const auto* const yes = std::get_if<bool>(&value.value())) writer.put(*yes);
  }
}

bool is_plain(const TensorInfo& stored) {
  return stored.is_text ||
         (stored.shape.empty() && (stored.dtype == DType::int64 || stored.dtype == DType::float64 ||
                                   stored.dtype == DType::boolean));
}

AppendedValue decode_plain(const TensorInfo& stored, std::span<const std::byte> bytes) {
  if (stored.is_text) return text_in(stored, bytes);
  if (stored.dtype == DType::int64) return number_in<std::int64_t>(bytes);
  if (stored.dtype == DType::float64) return number_in<double>(bytes);
  if (bytes[0] > std::byte{1}) refuse(stored, "is neither true nor false");
  return bytes[0] == std::byte{1};
}

}  // namespace cairn
