#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <memory>
#include <set>
#include <string_view>
#include <type_traits>
#include <variant>

#include "cairn/inspect.hpp"
#include "tools/command.hpp"
#include "tools/exit_codes.hpp"
#include "tools/glob.hpp"
#include "tools/json.hpp"
#include "tools/keys.hpp"
#include "tools/printable.hpp"
#include "tools/ranks.hpp"
#include "tools/statistics.hpp"
#include "tools/table.hpp"

namespace cairn::tools {
namespace {

struct ShowArguments {
  std::string path;
  KeyOption key;
  std::vector<std::string> tensors;
  bool stats = false;
  bool pieces = false;
  bool json = false;
};

constexpr const char* kFooter = R"(Reads the structure alone; with --stats all values of the tensors, under mpirun on all ranks
together. min and max leave out NaN, mean leaves out infinities too; complex numbers count by their
magnitude.

Examples:
  cairn show checkpoints/run-1_500.h5
  cairn show --stats --tensor '*.bias' checkpoints/run-1_500.h5
  mpirun -n 4 cairn show --stats --json checkpoints/run-1_500.h5)";

bool is_integer(DType dtype) {
  switch (dtype) {
    case DType::float64:
    case DType::float32:
    case DType::float16:
    case DType::bfloat16:
    case DType::float8_e4m3:
    case DType::float8_e5m2:
    case DType::complex64:
    case DType::complex128:
      return false;
    default:
      return true;
  }
}

/// An extreme as JSON has it: integers exactly, infinities as texts.
Json json_of(long double value, DType dtype) {
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (!is_integer(dtype)) return static_cast<double>(value);
  if (value < 0) return static_cast<std::int64_t>(value);
  return static_cast<std::uint64_t>(value);
}

Json json_of(const Statistics& statistics, DType dtype) {
  const bool any = statistics.has_extremes();
  const auto finite = static_cast<long double>(statistics.finite());
  return {{"count", statistics.count},
          {"nan", statistics.nans},
          {"inf", statistics.infinities},
          {"min", any ? json_of(statistics.least, dtype) : Json(nullptr)},
          {"max", any ? json_of(statistics.greatest, dtype) : Json(nullptr)},
          {"mean", finite > 0 ? Json(static_cast<double>(statistics.sum / finite)) : Json(nullptr)}};
}

Json json_of(const StoredTensor& tensor, const Contents& contents) {
  Json json{{"name", tensor.name},
            {"dtype", to_string(tensor.dtype)},
            {"shape", tensor.shape},
            {"bytes", tensor.bytes},
            {"pieces", Json::array()}};
  for (const Piece& piece : tensor.pieces) {
    json["pieces"].push_back(
        {{"file", contents.files[piece.file].path.filename().string()},
         {"position", piece.position ? Json(*piece.position) : Json(nullptr)},
         {"offset", piece.offset},
         {"extent", piece.extent}});
  }
  return json;
}

std::string_view type_of(const AppendedValue& value) {
  constexpr std::array<std::string_view, 5> kNames{"int64", "float64", "bool", "text", "tensor"};
  static_assert(kNames.size() == std::variant_size_v<AppendedValue>);
  return kNames.at(value.index());
}

/// NaN and infinities, which JSON has not, as texts.
Json json_of(const AppendedValue& value) {
  return std::visit(
      [](const auto& it) -> Json {
        if constexpr (std::is_same_v<decltype(it), const AppendedTensor&>) {
          return {{"dtype", to_string(it.dtype)}, {"shape", it.shape}};
        } else if constexpr (std::is_same_v<decltype(it), const double&>) {
          if (std::isnan(it)) return "nan";
          return json_of(it, DType::float64);
        } else {
          return it;
        }
      },
      value);
}

Json json_of(const StoredInfo& info) {
  return {{"name", info.name},
          {"type", info.value ? Json(type_of(*info.value)) : Json(nullptr)},
          {"value", info.value ? json_of(*info.value) : Json(nullptr)},
          {"problem", problem_json(info.problem)}};
}

Json json_of(const Contents& contents, const std::vector<Statistics>& statistics) {
  Json json = info_json(contents);
  json["writer"] = contents.writer;
  json["required_features"] = contents.required_features;
  json["optional_features"] = contents.optional_features;
  json["crc"] = contents.has_crc;
  json["enc_mode"] = contents.enc_mode ? Json(to_string(*contents.enc_mode)) : Json(nullptr);
  json["block_bytes"] = contents.block_bytes;
  json["value_bytes"] = contents.value_bytes;
  json["files"] = Json::array();
  for (const StoredFile& file : contents.files) {
    json["files"].push_back({{"name", file.path.filename().string()},
                             {"bytes", file.bytes},
                             {"problem", problem_json(file.problem)}});
  }
  json["append_info"] = Json::array();
  for (const StoredInfo& info : contents.append_info) json["append_info"].push_back(json_of(info));
  json["maps"] = Json::array();
  for (const StoredMapParameter& map : contents.maps) {
    json["maps"].push_back({{"name", map.name},
                            {"key_dtype", to_string(map.key_dtype)},
                            {"dtype", to_string(map.dtype)},
                            {"row_shape", map.row_shape},
                            {"entries", map.entries},
                            {"bytes", map.bytes}});
  }
  if (contents.lone) json["lacks"] = contents.lacks ? Json(*contents.lacks) : Json(nullptr);
  json["tensors"] = Json::array();
  for (std::size_t i = 0; i < contents.tensors.size(); ++i) {
    const StoredTensor& tensor = contents.tensors[i];
    json["tensors"].push_back(json_of(tensor, contents));
    if (!statistics.empty()) {
      json["tensors"].back()["stats"] = json_of(statistics[i], tensor.dtype);
    }
  }
  return json;
}

/// A tensor may lie in several files.
bool in_pieces(const Contents& contents) { return contents.shards || contents.lone; }

/// "4194304 (4.00 MiB)"
std::string bytes_text(std::uint64_t bytes) {
  const std::string digits = std::to_string(bytes);
  return bytes < 1024 ? digits : digits + " (" + readable_bytes(bytes) + ")";
}

/// What the values can be checked against.
std::string checks_of(const Contents& contents) {
  if (contents.enc_mode) {
    return "a tag for every block, encrypted with " + std::string(to_string(*contents.enc_mode));
  }
  return contents.has_crc ? "a CRC-32 for every block" : "none: of the structure only";
}

std::string or_none(const std::string& text) {
  return text.empty() ? "none" : text;
}

void print_record(const Contents& contents) {
  const std::string age = readable_age(std::chrono::system_clock::now() - contents.saved_at);
  Lines lines;
  lines.add("path", contents.path.string())
      .add("kind", kind_of(contents))
      .add("series", or_none(contents.series))
      .add("sequence", std::to_string(contents.sequence))
      .add("step", std::to_string(contents.step))
      .add("epoch", std::to_string(contents.epoch))
      .add("step in epoch", std::to_string(contents.step_in_epoch))
      .add("steps per epoch",
           contents.steps_per_epoch == 0 ? "not known" : std::to_string(contents.steps_per_epoch))
      .add("saved at", iso_time(contents.saved_at) + ", " + age + " ago")
      .add("run id", hex(contents.run_id))
      .add("writer", contents.writer)
      .add("required features", or_none(contents.required_features))
      .add("optional features", or_none(contents.optional_features))
      .add("checks", checks_of(contents))
      .add("bytes on disk", bytes_text(contents.bytes))
      .add("bytes of values", bytes_text(contents.value_bytes))
      .add("bytes of a block", bytes_text(contents.block_bytes));
  if (contents.shards) lines.add("shards", std::to_string(contents.files.size() - 1));
  lines.add("tensors", std::to_string(contents.tensors.size()));
  if (contents.broken) lines.add("broken", *contents.broken);
  if (contents.lone) lines.add("a whole state", contents.lacks ? "no: " + *contents.lacks : "yes");
  lines.print(std::cout);
}

void print_files(const Contents& contents) {
  if (!in_pieces(contents)) return;
  Table table({{"file"}, {"bytes", Table::Align::right}, {"state"}});
  for (const StoredFile& file : contents.files) {
    table.row({file.path.filename().string(), std::to_string(file.bytes),
               file.problem ? "damaged" : "good"});
    if (file.problem) table.note(file.problem->what());
  }
  std::cout << '\n';
  table.print(std::cout);
}

/// In a table; --json has all of it.
std::string short_text(const std::string& text) {
  constexpr std::size_t kShown = 60;
  if (text.size() <= kShown) return '"' + text + '"';
  std::size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return '"' + text.substr(0, end) + "…\" (" + std::to_string(text.size()) + " bytes)";
}

std::string value_text(const AppendedValue& value) {
  if (const auto* const tensor = std::get_if<AppendedTensor>(&value)) {
    return std::string(to_string(tensor->dtype)) + " " + to_string(tensor->shape);
  }
  if (const auto* const text = std::get_if<std::string>(&value)) return short_text(*text);
  const Json json = json_of(value);
  return json.is_string() ? json.get<std::string>() : json.dump();
}

void print_append_info(const Contents& contents) {
  if (contents.append_info.empty()) return;
  Table table({{"append_info"}, {"type"}, {"value"}});
  for (const StoredInfo& info : contents.append_info) {
    table.row({info.name, info.value ? std::string(type_of(*info.value)) : "?",
               info.value ? value_text(*info.value) : "damaged"});
    if (info.problem) table.note(info.problem->what());
  }
  std::cout << '\n';
  table.print(std::cout);
}

void print_maps(const Contents& contents) {
  using enum Table::Align;
  if (contents.maps.empty()) return;
  const bool is_increment = contents.increment > 0;
  Table table({{"map_parameter"}, {"keys"}, {"rows"},
               {is_increment ? "changed entries" : "entries", right}, {"bytes", right}});
  for (const StoredMapParameter& map : contents.maps) {
    table.row({map.name, std::string(to_string(map.key_dtype)),
               std::string(to_string(map.dtype)) + " " + to_string(map.row_shape),
               std::to_string(map.entries), std::to_string(map.bytes)});
  }
  std::cout << '\n';
  table.print(std::cout);
}

std::string position_of(const Piece& piece) {
  return piece.position ? std::to_string(*piece.position) : "?";
}

/// Where a tensor lies, in a few words.
std::string place_of(const StoredTensor& tensor, const Contents& contents) {
  if (tensor.pieces.empty()) return "-";
  if (!in_pieces(contents)) return position_of(tensor.pieces.front());
  std::set<std::size_t> files;
  for (const Piece& piece : tensor.pieces) files.insert(piece.file);
  return std::to_string(tensor.pieces.size()) + " in " + std::to_string(files.size());
}

std::string piece_text(const Piece& piece, const Contents& contents) {
  std::string box = "[";
  for (std::size_t d = 0; d < piece.offset.size(); ++d) {
    if (d > 0) box += ", ";
    box += std::to_string(piece.offset[d]) + ":" +
           std::to_string(piece.offset[d] + piece.extent[d]);
  }
  return box + "] in " + contents.files[piece.file].path.filename().string() + " at " +
         position_of(piece);
}

std::string number_text(long double value, DType dtype) {
  const Json json = json_of(value, dtype);
  if (json.is_string()) return json.get<std::string>();
  if (is_integer(dtype)) return json.dump();
  std::ostringstream text;
  text << static_cast<double>(value);
  return text.str();
}

void add_statistics(const Statistics& statistics, DType dtype, std::vector<std::string>& cells) {
  const bool any = statistics.has_extremes();
  const auto finite = static_cast<long double>(statistics.finite());
  cells.push_back(any ? number_text(statistics.least, dtype) : "-");
  cells.push_back(any ? number_text(statistics.greatest, dtype) : "-");
  cells.push_back(finite > 0 ? number_text(statistics.sum / finite, DType::float64) : "-");
  cells.push_back(std::to_string(statistics.nans));
  cells.push_back(std::to_string(statistics.infinities));
}

void print_tensors(const Contents& contents, const std::vector<Statistics>& statistics,
                   bool pieces) {
  using enum Table::Align;
  std::vector<Table::Column> columns{{"tensor"}, {"dtype"}, {"shape"}, {"bytes", right},
                                     {in_pieces(contents) ? "pieces" : "offset", right}};
  if (!statistics.empty()) {
    for (const char* head : {"min", "max", "mean", "nan", "inf"}) columns.push_back({head, right});
  }
  Table table(std::move(columns));
  for (std::size_t i = 0; i < contents.tensors.size(); ++i) {
    const StoredTensor& tensor = contents.tensors[i];
    std::vector<std::string> cells{tensor.name, std::string(to_string(tensor.dtype)),
                                   to_string(tensor.shape), std::to_string(tensor.bytes),
                                   place_of(tensor, contents)};
    if (!statistics.empty()) add_statistics(statistics[i], tensor.dtype, cells);
    table.row(std::move(cells));
    if (!pieces) continue;
    for (const Piece& piece : tensor.pieces) table.note(piece_text(piece, contents));
  }
  std::cout << '\n';
  table.print(std::cout);
}

void select(Contents& contents, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return;
  std::erase_if(contents.tensors, [&](const StoredTensor& tensor) {
    return std::ranges::none_of(
        patterns, [&](const std::string& pattern) { return matches(pattern, tensor.name); });
  });
  if (!contents.tensors.empty()) return;
  throw Error(ErrorCode::not_found,
              contents.path.string() + " has no tensor that matches '" + patterns.front() + "'");
}

int tell(const ShowArguments& arguments, const Contents& contents,
         const std::vector<Statistics>& statistics) {
  const int code = contents.problem ? exit_code_of(contents.problem->code()) : kExitGood;
  if (!speaks()) return code;
  if (contents.misnamed) {
    std::cerr << "cairn: warning: " << printable(contents.path.string()) << " is "
              << printable(*contents.misnamed) << ", not the one it is named for\n";
  }
  if (arguments.json) {
    print(json_of(contents, statistics));
    return code;
  }
  print_record(contents);
  print_files(contents);
  print_append_info(contents);
  print_maps(contents);
  print_tensors(contents, statistics, arguments.pieces);
  return code;
}

int run_show(const ShowArguments& arguments) {
  Key key;
  const auto look = [&] {
    key = Keys(arguments.key).key_for(arguments.path, identify(arguments.path).sealed);
    Contents contents = inspect(arguments.path, {.enc_key = key});
    select(contents, arguments.tensors);
    return contents;
  };
  if (!arguments.stats) return tell(arguments, look(), {});
  return Ranks::run([&](const Ranks& ranks) {
    Contents contents;
    ranks.agree([&] { contents = look(); });
    const auto statistics = read_statistics(ranks, arguments.path, key, contents.tensors);
    return tell(arguments, contents, statistics);
  });
}

}  // namespace

void add_show_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<ShowArguments>();
  CLI::App& command = *app.add_subcommand("show", "what a checkpoint says and holds");
  command.add_option("PATH", arguments->path, "a checkpoint")->required();
  add_key_option(command, arguments->key);
  command.add_option("--tensor,-t", arguments->tensors,
                     "only tensors of this name; * and ? match; may be given more than once")
      ->allow_extra_args(false);
  command.add_flag("--stats,-s", arguments->stats, "read the values: min, max, mean, NaN and inf");
  command.add_flag("--pieces", arguments->pieces, "each piece of each tensor, with its place");
  command.add_flag("--json", arguments->json, "one JSON document");
  command.footer(kFooter);
  command.callback(
      [arguments, &chosen] { chosen = [arguments] { return run_show(*arguments); }; });
}

}  // namespace cairn::tools
