#include "cairn/append_info.hpp"

#include "cairn/error.hpp"

namespace cairn {

AppendValue::AppendValue(const char* text) {
  if (text == nullptr) {
    throw Error(ErrorCode::invalid_argument, "append_info: a null pointer is given for a text");
  }
  value_ = std::string(text);
}

void AppendValue::refuse_number(std::uint64_t number) {
  throw Error(ErrorCode::invalid_argument, "append_info: " + std::to_string(number) +
                                               " is given, integers are taken up to " +
                                               std::to_string(INT64_MAX));
}

AppendDict::AppendDict(std::initializer_list<std::pair<std::string, AppendValue>> entries) {
  for (const auto& [key, value] : entries) add(key, value);
}

AppendDict& AppendDict::add(std::string key, AppendValue value) {
  const auto [entry, is_new] = entries_.try_emplace(std::move(key), std::move(value));
  if (is_new) return *this;
  throw Error(ErrorCode::invalid_argument,
              "append_info: the key \"" + entry->first + "\" is given twice");
}

}  // namespace cairn
