#include "policy/names.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

#include "cairn/error.hpp"

namespace cairn::policy {
namespace {

constexpr std::string_view kBreakpoint = "_breakpoint";
constexpr std::string_view kReplaced = ".replaced";
constexpr std::string_view kTemporary = ".tmp-";
constexpr std::string_view kTrash = ".trash-";
constexpr std::string_view kLock = ".lock-";
constexpr std::string_view kRank = ".rank";
constexpr std::string_view kOf = "of";
constexpr std::string_view kAll = "*";
constexpr std::string_view kShard = ".shard";
constexpr std::string_view kSealed = ".enc";
constexpr std::string_view kNoField = "0";
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::array kKinds{Kind::file, Kind::sealed, Kind::shards};

constexpr std::size_t kRunDigits = 16;
constexpr std::size_t kDigestDigits = 8;

// The longest name that derives from a prefix is that of a breakpoint in the trash. Epoch and step
// have 21 digits together at most, because (epoch - 1) * step in epoch < 2^64; a process id and the
// two numbers of a rank's own breakpoint shard have ten.
constexpr std::size_t kMaxSeriesBytes = kMaxPrefixBytes + std::string_view("_999999999").size();
constexpr std::size_t kMaxStemBytes = kMaxSeriesBytes + 1 + 21 + 1 + kBreakpoint.size();
constexpr std::size_t kMaxTailBytes =
    std::max(std::string_view(".h5.enc.replaced").size(),
             std::string_view(".rank1234567890of1234567890.shard.enc.replaced").size());
constexpr std::size_t kMaxOwnerBytes =
    kTrash.size() + kRunDigits + 1 + kMaxFieldBytes + 1 + 10 + 1 + kMaxFieldBytes + 1;
static_assert(kMaxOwnerBytes + kMaxStemBytes + kMaxTailBytes <= kMaxFileNameBytes);

/// Removes `tail` from the end of `text`, if it is there.
bool take_back(std::string_view& text, std::string_view tail) {
  if (!text.ends_with(tail)) return false;
  text.remove_suffix(tail.size());
  return true;
}

/// Removes `head` from the beginning of `text`, if it is there.
bool take_front(std::string_view& text, std::string_view head) {
  if (!text.starts_with(head)) return false;
  text.remove_prefix(head.size());
  return true;
}

/// Removes everything up to the first '-' from `text` and gives what stood before it.
std::optional<std::string_view> take_field(std::string_view& text) {
  const std::size_t end = text.find('-');
  if (end == text.npos) return std::nullopt;
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

/// Decimal digits without leading zeros, and nothing else.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  const char* end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return number;
}

/// Removes everything from the last `mark` on from `text` and gives the number that stood behind.
std::optional<std::uint64_t> take_number_after(std::string_view& text, char mark) {
  const std::size_t at = text.rfind(mark);
  if (at == text.npos) return std::nullopt;
  const auto number = parse_number(text.substr(at + 1));
  text = text.substr(0, at);
  return number;
}

std::optional<Kind> take_kind(std::string_view& text) {
  for (const Kind kind : kKinds) {
    if (take_back(text, suffix(kind))) return kind;
  }
  return std::nullopt;
}

/// Whether a directory entry can have this name.
bool is_entry_name(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == text.npos &&
         text.find('\0') == text.npos;
}

/// Names that begin with a dot are temporary ones and locks.
bool is_series(std::string_view text) {
  return is_entry_name(text) && text.front() != '.';
}

bool ends_in_number(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kDigits);
  return last != text.npos && last + 1 < text.size() && text[last] == '_';
}

/// A NUL would end the message; a text of megabytes would drown it.
std::string shown(std::string_view text) {
  if (text.size() > kMaxFileNameBytes) return std::to_string(text.size()) + " bytes long";
  std::string result = "\"";
  for (const char c : text) {
    if (c == '\0') {
      result += "\\0";
    } else {
      result += c;
    }
  }
  return result + '"';
}

bool is_field_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_';
}

/// FNV-1a.
std::uint32_t digest(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

std::string digest_digits(std::string_view text) {
  std::string digits(kDigestDigits, '0');
  std::uint32_t rest = digest(text);
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, rest >>= 4) {
    *digit = kHexDigits[rest & 0xFU];
  }
  return digits;
}

bool is_run(std::string_view text) {
  return text.size() == kRunDigits && text.find_first_not_of(kHexDigits) == text.npos;
}

}  // namespace

void check_prefix(std::string_view prefix) {
  if (is_series(prefix) && prefix.size() <= kMaxPrefixBytes && !ends_in_number(prefix)) return;
  throw Error(ErrorCode::invalid_argument,
              "prefix is " + shown(prefix) + "; it takes 1 to " + std::to_string(kMaxPrefixBytes) +
                  " bytes without '/' and NUL that do not begin with '.' and do not end in '_' "
                  "and digits");
}

EpochStep epoch_step(std::uint64_t step, std::uint64_t steps_per_epoch) {
  if (step == 0 || steps_per_epoch == 0) return {1, step};
  return {(step - 1) / steps_per_epoch + 1, (step - 1) % steps_per_epoch + 1};
}

std::string_view suffix(Kind kind) noexcept {
  switch (kind) {
    case Kind::file:
      return ".h5";
    case Kind::sealed:
      return ".h5.enc";
    case Kind::shards:
      return ".shards";
  }
  return {};
}

std::string stem(const CheckpointName& name) {
  assert(is_series(name.series));
  std::string result =
      name.series + '-' + std::to_string(name.epoch) + '_' + std::to_string(name.step_in_epoch);
  if (name.breakpoint) result += kBreakpoint;
  return result;
}

std::string format(const CheckpointName& name) {
  std::string result = stem(name);
  result += suffix(name.kind);
  if (name.replaced) result += kReplaced;
  return result;
}

// Read from the end: the series may hold anything that the rest is made of, and the rest has no
// '-' and, but for its own, no '_'.
std::optional<CheckpointName> parse_checkpoint_name(std::string_view name) {
  CheckpointName result;
  result.replaced = take_back(name, kReplaced);
  const auto kind = take_kind(name);
  if (!kind) return std::nullopt;
  result.kind = *kind;
  result.breakpoint = take_back(name, kBreakpoint);
  const auto step = take_number_after(name, '_');
  if (!step) return std::nullopt;
  result.step_in_epoch = *step;
  const auto epoch = take_number_after(name, '-');
  if (!epoch || !is_series(name)) return std::nullopt;
  result.epoch = *epoch;
  result.series = name;
  return result;
}

CheckpointName breakpoint_of(const LoneName& name) {
  return {.series = name.series,
          .epoch = name.epoch,
          .step_in_epoch = name.step_in_epoch,
          .breakpoint = true};
}

std::string format(const LoneName& name) {
  std::string result = stem(breakpoint_of(name));
  result += kRank;
  result += name.rank ? std::to_string(*name.rank) : std::string(kAll);
  result += std::string(kOf) + std::to_string(name.ranks);
  result += kShard;
  if (name.sealed) result += kSealed;
  return result;
}

std::optional<LoneName> parse_lone_name(std::string_view name) {
  LoneName result;
  result.sealed = take_back(name, kSealed);
  if (!take_back(name, kShard)) return std::nullopt;
  const std::size_t at = name.rfind(kRank);
  if (at == name.npos) return std::nullopt;
  const std::string_view place = name.substr(at + kRank.size());
  const std::size_t of = place.find(kOf);
  if (of == place.npos) return std::nullopt;
  const auto ranks = parse_number(place.substr(of + kOf.size()));
  result.rank = parse_number(place.substr(0, of));
  if (!ranks || (!result.rank && place.substr(0, of) != kAll)) return std::nullopt;
  if (*ranks == 0 || result.rank.value_or(0) >= *ranks) return std::nullopt;
  result.ranks = *ranks;
  const auto stem = parse_checkpoint_name(std::string(name.substr(0, at)).append(suffix(Kind::file)));
  if (!stem || !stem->breakpoint) return std::nullopt;
  result.series = stem->series;
  result.epoch = stem->epoch;
  result.step_in_epoch = stem->step_in_epoch;
  return result;
}

std::string series_name(std::string_view prefix, unsigned number) {
  std::string result(prefix);
  if (number != 0) result += '_' + std::to_string(number);
  return result;
}

std::optional<unsigned> series_number(std::string_view prefix, std::string_view series) {
  if (!take_front(series, prefix)) return std::nullopt;
  if (series.empty()) return 0;
  if (!take_front(series, "_")) return std::nullopt;
  const auto number = parse_number(series);
  if (!number || *number == 0 || *number > kMaxSeriesNumber) return std::nullopt;
  return static_cast<unsigned>(*number);
}

unsigned fresh_series_number(std::string_view prefix, std::span<const CheckpointName> found) {
  unsigned fresh = 0;
  for (const CheckpointName& name : found) {
    if (const auto number = series_number(prefix, name.series))
      fresh = std::max(fresh, *number + 1);
  }
  if (fresh > kMaxSeriesNumber) {
    throw Error(ErrorCode::invalid_argument,
                "prefix is " + shown(prefix) +
                    ", whose series numbers are used up: " + series_name(prefix, kMaxSeriesNumber) +
                    " has checkpoints; take another prefix or directory");
  }
  return fresh;
}

std::string sanitised(std::string_view text) {
  if (text.empty()) return std::string(kNoField);
  std::string result(text.substr(0, kMaxFieldBytes));
  std::ranges::replace_if(
      result, [](char c) { return !is_field_char(c); }, '_');
  if (text.size() > kMaxFieldBytes) {
    result.resize(kMaxFieldBytes - kDigestDigits - 1);
    result += '_' + digest_digits(text);
  }
  return result;
}

std::string format(const TemporaryName& name) {
  assert(is_run(name.run) && is_entry_name(name.final_name));
  std::string result(name.trash ? kTrash : kTemporary);
  for (const std::string& field :
       {name.run, sanitised(name.host), std::to_string(name.pid), sanitised(name.job)}) {
    result += field + '-';
  }
  return result + name.final_name;
}

std::optional<TemporaryName> parse_temporary_name(std::string_view name) {
  const bool trash = take_front(name, kTrash);
  if (!trash && !take_front(name, kTemporary)) return std::nullopt;
  const auto run = take_field(name);
  const auto host = take_field(name);
  const auto pid = take_field(name);
  const auto job = take_field(name);
  // Where one is missing so are all that follow it.
  if (!job || !is_run(*run) || sanitised(*host) != *host || sanitised(*job) != *job) {
    return std::nullopt;
  }
  const auto pid_number = parse_number(*pid);
  if (!pid_number || !is_entry_name(name)) return std::nullopt;
  return TemporaryName{.trash = trash,
                       .run = std::string(*run),
                       .host = std::string(*host),
                       .pid = *pid_number,
                       .job = std::string(*job == kNoField ? "" : *job),
                       .final_name = std::string(name)};
}

std::string lock_name(std::string_view series) {
  return std::string(kLock).append(series);
}

std::optional<std::string> parse_lock_name(std::string_view name) {
  if (!take_front(name, kLock) || !is_series(name)) return std::nullopt;
  return std::string(name);
}

std::string to_hex(const RunId& id) {
  std::string digits;
  for (const std::byte byte : id) {
    digits += kHexDigits[std::to_integer<std::size_t>(byte >> 4)];
    digits += kHexDigits[std::to_integer<std::size_t>(byte & std::byte{0xF})];
  }
  return digits;
}

}  // namespace cairn::policy
