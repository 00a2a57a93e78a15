#include "policy/append_info.hpp"

#include <array>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/tensor.hpp"
#include "cairn/error.hpp"
#include "policy/names.hpp"

namespace cairn::policy {
namespace {

constexpr std::string_view kEpochs = "epoch_num";
constexpr std::string_view kSteps = "step_num";

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "append_info: " + why);
}

/// As much of a text as a message takes.
std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 100;
  return '"' + std::string(text.substr(0, kShown)) + '"';
}

/// For messages.
std::string_view type_of(const AppendValue& value) {
  constexpr std::array<std::string_view, 5> kNames{"an integer", "a float", "a bool", "a text",
                                                   "a tensor"};
  static_assert(kNames.size() == std::variant_size_v<AppendValue::Value>);
  return kNames.at(value.value().index());
}

void check_key(const std::string& key) {
  if (key.empty()) refuse("a key must not be empty");
  if (key.size() <= kLongestName) return;
  refuse("the key " + in_quotes(key) + " has " + std::to_string(key.size()) + " bytes, at most " +
         std::to_string(kLongestName) + " are taken");
}

void check_text(const std::string& key, const std::string& text) {
  if (text.size() > kLongestText) {
    refuse(in_quotes(key) + " is a text of " + std::to_string(text.size()) + " bytes, at most " +
           std::to_string(kLongestText) + " are taken");
  }
  const std::size_t zero = text.find('\0');
  if (zero == text.npos) return;
  refuse(in_quotes(key) + " is a text with a zero byte at " + std::to_string(zero) +
         ", texts without are taken");
}

void check_base(const AppendDict& dict, std::string_view counter) {
  const auto entry = dict.entries().find(counter);
  if (entry == dict.entries().end()) return;
  if (std::holds_alternative<std::int64_t>(entry->second.value())) return;
  refuse(in_quotes(counter) + " is " + std::string(type_of(entry->second)) +
         ", an integer is taken: what is added to the counter");
}

AppendValue count_from(const AppendValue& base, std::string_view counter, std::uint64_t count) {
  std::int64_t sum = 0;
  const std::int64_t begin = std::get<std::int64_t>(base.value());
  if (!__builtin_add_overflow(begin, count, &sum)) return sum;
  refuse(in_quotes(counter) + " is " + std::to_string(count) + " and the base " +
         std::to_string(begin) + ", a sum of at most " + std::to_string(INT64_MAX) + " is taken");
}

}  // namespace

AppendDict resolve_append_info(const std::vector<AppendItem>& items) {
  AppendDict counters;
  const AppendDict* given = nullptr;
  for (const AppendItem& item : items) {
    if (const auto* const dict = std::get_if<AppendDict>(&item.value())) {
      if (given != nullptr) refuse("a second dictionary is given, at most one is taken");
      given = dict;
      continue;
    }
    const auto& text = std::get<std::string>(item.value());
    if (text != kEpochs && text != kSteps) {
      refuse("the item " + in_quotes(text) +
             R"( is none of "epoch_num", "step_num" and a dictionary)");
    }
    if (counters.entries().contains(text)) refuse("the item " + in_quotes(text) + " is given twice");
    counters.add(text, 0);
  }
  AppendDict resolved = given == nullptr ? AppendDict() : *given;
  for (const auto& [counter, base] : counters.entries()) {
    if (!resolved.entries().contains(counter)) resolved.add(counter, base);
  }
  check_base(resolved, kEpochs);
  check_base(resolved, kSteps);
  check_append_dict(resolved);
  return resolved;
}

void check_append_dict(const AppendDict& dict) {
  for (const auto& [key, value] : dict.entries()) {
    check_key(key);
    if (const auto* const text = std::get_if<std::string>(&value.value())) check_text(key, *text);
  }
}

AppendDict with_counters(const AppendDict& resolved, std::uint64_t step,
                         std::uint64_t steps_per_epoch) {
  const std::uint64_t epoch = epoch_step(step, steps_per_epoch).epoch;
  AppendDict counted;
  for (const auto& [key, value] : resolved.entries()) {
    counted.add(key, key == kEpochs  ? count_from(value, key, epoch)
                     : key == kSteps ? count_from(value, key, step)
                                     : value);
  }
  return counted;
}

}  // namespace cairn::policy
