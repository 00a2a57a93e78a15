#include "storage/lone_shard.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "cairn/error.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

constexpr std::string_view kRank = "rank:";
constexpr std::string_view kStructure = "structure:";
constexpr std::string_view kUpdates = "updates:";
constexpr std::string_view kMarked = "marked";
constexpr std::string_view kUnmarked = "unmarked";
constexpr std::size_t kHexDigits = 16;

/// Takes a number in the given base off the front.
std::optional<std::uint64_t> take_number(std::string_view& text, int base = 10) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view head) {
  if (!text.starts_with(head)) return false;
  text.remove_prefix(head.size());
  return true;
}

std::string in_hex(std::uint64_t number) {
  std::array<char, kHexDigits> digits{};
  std::ranges::fill(digits, '0');
  for (std::size_t i = kHexDigits; number != 0; number >>= 4U) {
    digits[--i] = "0123456789abcdef"[number & 0xFU];
  }
  return {digits.data(), digits.size()};
}

/// "0:512/4096,0:1024/1024" as a box and a shape.
bool parse_dimensions(std::string_view text, Box& box, Shape& shape) {
  while (!text.empty()) {
    const auto begin = take_number(text);
    if (!begin || !take(text, ":")) return false;
    const auto end = take_number(text);
    if (!end || !take(text, "/")) return false;
    const auto size = take_number(text);
    if (!size || *begin > *end || *end > *size) return false;
    box.offset.push_back(*begin);
    box.extent.push_back(*end - *begin);
    shape.push_back(*size);
    if (!text.empty() && !(take(text, ",") && !text.empty())) return false;
  }
  return true;
}

std::string rank_word(const LoneMark& mark) {
  return std::string(kRank) + std::to_string(mark.rank) + '/' + std::to_string(mark.ranks);
}

std::string structure_word(const LoneMark& mark) {
  return std::string(kStructure) + in_hex(mark.structure[0]) + in_hex(mark.structure[1]);
}

std::string updates_word(const LoneMark& mark) {
  return std::string(kUpdates).append(mark.updates_marked ? kMarked : kUnmarked);
}

/// Whether it begins as one of the three; puts to `mark` what it seems to say. Only if the mark gives
/// that word again, it does.
bool is_word_of(LoneMark& mark, std::string_view word) {
  if (take(word, kRank)) {
    mark.rank = take_number(word).value_or(0);
    take(word, "/");
    mark.ranks = take_number(word).value_or(0);
  } else if (take(word, kStructure)) {
    for (std::size_t i = 0; i < mark.structure.size(); ++i) {
      std::string_view half = word.substr(std::min(i * kHexDigits, word.size()), kHexDigits);
      mark.structure[i] = take_number(half, 16).value_or(0);
    }
  } else if (take(word, kUpdates)) {
    mark.updates_marked = word == kMarked;
  } else {
    return false;
  }
  return true;
}

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  throw Error(ErrorCode::damaged, where + ": " + why);
}

}  // namespace

bool is_of_one_state(const Identity& a, const LoneMark& a_mark, const Identity& b,
                     const LoneMark& b_mark) {
  return a.run_id == b.run_id && a.sequence == b.sequence && a.step == b.step &&
         a.series == b.series && a_mark.structure == b_mark.structure;
}

void put_mark(const LoneMark& mark, Record& record) {
  record.required_features = kLoneShardFeature;
  record.optional_features = rank_word(mark) + ' ' + structure_word(mark) + ' ' + updates_word(mark);
}

std::optional<LoneMark> mark_of(const Record& record, const std::string& where) {
  if (record.required_features != kLoneShardFeature) return std::nullopt;
  LoneMark mark;
  std::size_t known = 0;
  std::istringstream words(record.optional_features);
  for (std::string word; words >> word;) {
    if (is_word_of(mark, word)) ++known;
  }
  // Each is there, and once; what another version adds is none of ours.
  constexpr std::array<std::string (*)(const LoneMark&), 3> kWords{rank_word, structure_word,
                                                                  updates_word};
  const bool is_whole = known == kWords.size() && std::ranges::all_of(kWords, [&](auto word_of) {
                          return has_word(record.optional_features, word_of(mark));
                        });
  if (!is_whole || mark.rank >= mark.ranks) {
    refuse(where, "it is a lone shard that does not say of which rank, structure and updates");
  }
  return mark;
}

std::string lone_piece_name(std::string_view tensor, const Box& box, const Shape& shape) {
  std::string name(tensor);
  name += '[';
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d > 0) name += ',';
    name += std::to_string(box.offset[d]) + ":" + std::to_string(box.offset[d] + box.extent[d]) +
            "/" + std::to_string(shape[d]);
  }
  return name + ']';
}

LonePiece lone_piece(const PlacedTensor& dataset, const std::string& where) {
  LonePiece piece{dataset, {}, dataset.offset};
  const std::size_t open = dataset.name.rfind('[');
  const bool is_named = open != std::string::npos && dataset.name.ends_with(']');
  piece.tensor.shape.clear();
  if (is_named) {
    const std::string_view inside =
        std::string_view(dataset.name).substr(open + 1, dataset.name.size() - open - 2);
    piece.tensor.name = dataset.name.substr(0, open);
    // The name it would have must be the one it has: one box has one name. A text is never cut.
    if (parse_dimensions(inside, piece.box, piece.tensor.shape) &&
        piece.box.extent == dataset.shape &&
        lone_piece_name(piece.tensor.name, piece.box, piece.tensor.shape) == dataset.name &&
        (!dataset.is_text || piece.tensor.shape == dataset.shape)) {
      static_cast<void>(checked_bytes(piece.tensor.shape, piece.tensor.dtype,
                                      where + ": " + dataset.name));
      return piece;
    }
  }
  refuse(where, label(dataset) + " is no piece of a tensor: expected a name like w[0:2/4]");
}

}  // namespace cairn::storage
