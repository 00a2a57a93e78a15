// Settings as text: taken from JSON, written out for people. A new setting is one line of
// `kSettings`, and an overload of `take` and `show` where its type is new.
//
// A key may stand anywhere in a text that is wrong. So nothing of the parser's own messages is
// passed on, nothing is quoted of what is given for `enc_key`, and of other texts and names only
// what is too short for a key.
#include <array>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "cairn/config.hpp"
#include "cairn/error.hpp"
#include "cairn/slice.hpp"

namespace cairn {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShortestKeyInHex = 32;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

[[noreturn]] void refuse(const std::string& setting, const std::string& got,
                         const std::string& takes) {
  refuse(setting + " is " + got + "; it takes " + takes);
}

/// In quotation marks, with escapes for what could disturb a terminal.
std::string in_quotes(const std::string& text) {
  const std::size_t bytes = text.size();
  if (bytes >= kShortestKeyInHex) return "a text of " + std::to_string(bytes) + " bytes";
  constexpr int kOneLine = -1;
  constexpr bool kAsciiOnly = true;
  return Json(text).dump(kOneLine, ' ', kAsciiOnly);
}

std::string type_of(const Json& value) {
  return value.is_null() ? "null" : "a JSON " + std::string(value.type_name());
}

std::uint64_t integer_of(const std::string& setting, const Json& value, std::uint64_t most,
                         const std::string& or_else = "") {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= most) {
    return value.get<std::uint64_t>();
  }
  refuse(setting, value.is_number() ? value.dump() : type_of(value),
         or_else + "an integer from 0 to " + std::to_string(most));
}

template <class Enum, std::size_t N>
Enum one_of(const std::array<Enum, N>& all, const std::string& setting, const Json& value) {
  std::string names;
  for (const Enum one : all) {
    if (value.is_string() && value.get_ref<const std::string&>() == to_string(one)) return one;
    names += (names.empty() ? "one of " : ", ") + in_quotes(std::string(to_string(one)));
  }
  refuse(setting, value.is_string() ? in_quotes(value.get_ref<const std::string&>()) : type_of(value),
         names);
}

void take(Count& into, const std::string& setting, const Json& value) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  if (value.is_null()) into = none;
  else into = static_cast<std::int64_t>(integer_of(setting, value, kMost, "null or "));
}

void take(bool& into, const std::string& setting, const Json& value) {
  if (!value.is_boolean()) refuse(setting, type_of(value), "true or false");
  into = value.get<bool>();
}

void take(std::uint64_t& into, const std::string& setting, const Json& value) {
  into = integer_of(setting, value, std::numeric_limits<std::uint64_t>::max());
}

template <class Rep, class Period>
void take(std::chrono::duration<Rep, Period>& into, const std::string& setting, const Json& value) {
  into = std::chrono::duration<Rep, Period>(
      static_cast<Rep>(integer_of(setting, value, std::numeric_limits<Rep>::max())));
}

void take(EncMode& into, const std::string& setting, const Json& value) {
  into = one_of(std::array{EncMode::aes_gcm, EncMode::aes_cbc, EncMode::sm4_cbc}, setting, value);
}

void take(Writer& into, const std::string& setting, const Json& value) {
  into = one_of(std::array{Writer::direct, Writer::hdf5, Writer::mpiio}, setting, value);
}

void take(OnSaveFailure& into, const std::string& setting, const Json& value) {
  into = one_of(std::array{OnSaveFailure::fail, OnSaveFailure::skip, OnSaveFailure::make_room},
                setting, value);
}

void take(std::optional<Time>& into, const std::string& setting, const Json& value) {
  constexpr auto kMost = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(Time::max().time_since_epoch()).count());
  const std::string or_else = "null, \"batch_job_end\" or seconds since 1970: ";
  if (value.is_null()) {
    into.reset();
  } else if (value.is_string() && value.get_ref<const std::string&>() == "batch_job_end") {
    into = batch_job_end();
  } else {
    into = Time(std::chrono::seconds(integer_of(setting, value, kMost, or_else)));
  }
}

void take(Key& into, const std::string& setting, const Json& value) {
  if (value.is_null()) {
    into = {};
    return;
  }
  const std::string takes = "null or {\"hex\": \"…\"}, two hexadecimal digits a byte";
  if (!value.is_object()) refuse(setting, type_of(value), takes);
  const auto hex = value.find("hex");
  if (value.size() != 1 || hex == value.end()) {
    refuse(setting, "an object of other names than \"hex\" alone", takes);
  }
  if (!hex->is_string()) refuse(setting + "'s \"hex\"", type_of(*hex), "a text");
  try {
    into = Key::from_hex(hex->get_ref<const std::string&>());
  } catch (const Error& error) {
    refuse(setting + ": " + error.what());
  }
  if (into.empty()) refuse(setting, "an object without digits", takes);
}

AppendValue append_value(const std::string& setting, const std::string& key, const Json& value) {
  const std::string takes =
      "an integer of 64 bits, a float, true or false, or a text; tensors only a program can give";
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number()) refuse(setting + ": " + in_quotes(key), type_of(value), takes);
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMost) {
    refuse(setting + ": " + in_quotes(key), value.dump(), takes);
  }
  return value.get<std::int64_t>();
}

void take(std::vector<AppendItem>& into, const std::string& setting, const Json& value) {
  const std::string takes = R"(null or a list of "epoch_num", "step_num" and one object)";
  into.clear();
  if (value.is_null()) return;
  if (!value.is_array()) refuse(setting, type_of(value), takes);
  for (const Json& item : value) {
    if (item.is_string()) {
      into.emplace_back(item.get<std::string>());
      continue;
    }
    if (!item.is_object()) refuse(setting, "a list with " + type_of(item), takes);
    AppendDict dict;
    for (const auto& [key, entry] : item.items()) dict.add(key, append_value(setting, key, entry));
    into.emplace_back(std::move(dict));
  }
}

std::string show(Count count) { return to_string(count); }
std::string show(bool value) { return value ? "true" : "false"; }
std::string show(std::uint64_t value) { return std::to_string(value); }
std::string show(EncMode mode) { return std::string(to_string(mode)); }
std::string show(OnSaveFailure what) { return std::string(to_string(what)); }
std::string show(const std::optional<Time>& time) {
  using std::chrono::seconds;
  if (!time) return "none";
  return std::to_string(std::chrono::floor<seconds>(*time).time_since_epoch().count());
}
std::string show(Writer writer) { return std::string(to_string(writer)); }

template <class Rep, class Period>
std::string show(std::chrono::duration<Rep, Period> value) {
  return std::to_string(value.count());
}

std::string show(const Key& key) {
  if (key.empty()) return "none";
  return "a key of " + std::to_string(key.bytes().size()) + " bytes";
}

std::string show(const AppendValue& value) {
  return std::visit(
      [](const auto& of) -> std::string {
        using T = std::decay_t<decltype(of)>;
        if constexpr (std::is_same_v<T, AppendTensor>) {
          return "a tensor of " + std::string(to_string(of.source().dtype())) + " " +
                 to_string(of.slice().global);
        } else {
          return Json(of).dump(-1, ' ', true, Json::error_handler_t::replace);
        }
      },
      value.value());
}

std::string show(const std::vector<AppendItem>& items) {
  std::string text;
  for (const AppendItem& item : items) {
    if (const auto* const dict = std::get_if<AppendDict>(&item.value())) {
      for (const auto& [key, value] : dict->entries()) {
        text += (text.empty() ? "" : ", ") + key + " = " + show(value);
      }
    } else {
      text += (text.empty() ? "" : ", ") + std::get<std::string>(item.value());
    }
  }
  return text.empty() ? "none" : text;
}

struct Setting {
  const char* name;
  void (*take)(CheckpointSettings&, const std::string& name, const Json&);
  std::string (*show)(const CheckpointSettings&);
  bool is_in_json;
};

/// A member, or by several steps a member of a member.
template <auto... Member>
constexpr Setting setting(const char* name) {
  return {name,
          [](CheckpointSettings& settings, const std::string& of, const Json& value) {
            take((settings .* ... .* Member), of, value);
          },
          [](const CheckpointSettings& settings) { return show((settings .* ... .* Member)); },
          true};
}

template <auto Member>
constexpr Setting only_in_programs(const char* name) {
  return {name,
          [](CheckpointSettings&, const std::string& of, const Json& value) {
            if (!value.is_null()) refuse(of + " cannot be given in JSON: set it in the program");
          },
          [](const CheckpointSettings& settings) -> std::string {
            return settings.*Member ? "given" : "none";
          },
          false};
}

using S = CheckpointSettings;
using W = WriteOptions;

constexpr std::array kSettings{
    setting<&S::save_checkpoint_steps>("save_checkpoint_steps"),
    setting<&S::save_checkpoint_seconds>("save_checkpoint_seconds"),
    setting<&S::keep_checkpoint_max>("keep_checkpoint_max"),
    setting<&S::keep_checkpoint_per_n_minutes>("keep_checkpoint_per_n_minutes"),
    setting<&S::integrated_save>("integrated_save"),
    setting<&S::async_save>("async_save"),
    setting<&S::lazy_capture>("lazy_capture"),
    setting<&S::check_capture>("check_capture"),
    only_in_programs<&S::saved_network>("saved_network"),
    setting<&S::enc_key>("enc_key"),
    setting<&S::enc_mode>("enc_mode"),
    setting<&S::append_info>("append_info"),
    setting<&S::crc_check>("crc_check"),
    setting<&S::exception_save>("exception_save"),
    setting<&S::exception_save_timeout>("exception_save_timeout_seconds"),
    setting<&S::stop_before>("stop_before"),
    setting<&S::on_save_failure>("on_save_failure"),
    setting<&S::quarantine_damaged>("quarantine_damaged"),
    setting<&S::incremental>("incremental"),
    setting<&S::steps_per_epoch>("steps_per_epoch"),
    setting<&S::write, &W::writer>("writer"),
    setting<&S::write, &W::block_bytes>("block_bytes"),
    setting<&S::write, &W::staging_bytes>("staging_bytes"),
    setting<&S::write, &W::durable>("durable"),
    setting<&S::write, &W::deadline>("deadline_seconds"),
    setting<&S::stale_after>("stale_after_hours"),
    only_in_programs<&S::listener>("listener"),
    only_in_programs<&S::clock>("clock"),
    only_in_programs<&S::run_id>("run_id"),
};

const Setting& setting_named(const std::string& name) {
  std::string valid;
  for (const Setting& setting : kSettings) {
    if (name == setting.name) return setting;
    if (setting.is_in_json) valid += (valid.empty() ? "" : ", ") + std::string(setting.name);
  }
  refuse("there is no setting " + in_quotes(name) + "; the settings are " + valid);
}

/// Follows the parser: knows in which setting it is, and refuses names that are given twice, of
/// which the parser would silently take the last.
class Follower {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) names_.emplace_back();
    if (event == Event::object_end) names_.pop_back();
    if (event == Event::key) see(depth, parsed.get_ref<const std::string&>());
    return true;
  }

  [[nodiscard]] std::string place() const {
    return setting_.empty() ? "" : ", in or after the setting " + in_quotes(setting_);
  }

 private:
  void see(int depth, const std::string& name) {
    constexpr int kDepthOfSettings = 1;
    const bool is_setting = depth == kDepthOfSettings;
    if (is_setting) setting_ = name;
    if (names_.back().insert(name).second) return;
    refuse((is_setting ? "a setting" : "a name inside of an object") +
           std::string(" is given twice") + place());
  }

  std::vector<std::set<std::string>> names_;  ///< of each object that is open
  std::string setting_;
};

Json parse(std::string_view text) {
  Follower follower;
  try {
    return Json::parse(text, std::ref(follower));
  } catch (const Json::parse_error& error) {
    refuse("the settings are no JSON: something is wrong at byte " +
           std::to_string(std::min(error.byte, text.size())) + " of " +
           std::to_string(text.size()) + follower.place());
  } catch (const Json::out_of_range&) {
    refuse("a number is larger than any setting takes" + follower.place());
  }
}

}  // namespace

CheckpointSettings settings_from_json(std::string_view text) {
  const Json json = parse(text);
  if (!json.is_object()) refuse("the settings are " + type_of(json) + "; expected an object");
  CheckpointSettings settings;
  for (const auto& [name, value] : json.items()) {
    setting_named(name).take(settings, name, value);
  }
  return settings;
}

CheckpointConfig CheckpointConfig::from_json(std::string_view text) {
  return CheckpointConfig(settings_from_json(text));
}

std::string to_string(const CheckpointConfig& config) {
  std::string text;
  for (const Setting& setting : kSettings) {
    text += (text.empty() ? "" : "\n") + std::string(setting.name) + ": " +
            setting.show(config.settings());
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const CheckpointConfig& config) {
  return out << to_string(config);
}

}  // namespace cairn
