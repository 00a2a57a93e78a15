#include "coord/match.hpp"

#include <algorithm>
#include <compare>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/convert.hpp"
#include "base/map_datasets.hpp"
#include "cairn/error.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// More than anybody reads, less than anybody's log can take.
constexpr std::size_t kMostListed = 100;

std::optional<std::size_t> find(std::span<const TensorInfo> stored, const TensorKey& key) {
  const auto at = std::ranges::lower_bound(stored, key, {}, &TensorInfo::key);
  if (at == stored.end() || at->key() != key) return std::nullopt;
  return static_cast<std::size_t>(at - stored.begin());
}

/// The kinds of what does not fit, as they travel.
enum class Kind : std::uint8_t { missing, extra, different, not_appended };

struct Problem {
  Kind kind;
  std::string text;

  auto operator<=>(const Problem&) const = default;
};

void put(WireWriter& writer, const Problem& problem) {
  writer.put(problem.kind).put_text(problem.text);
}

std::set<Problem> get_all(std::span<const std::byte> bytes) {
  std::set<Problem> all;
  for (WireReader reader(bytes); !reader.done();) {
    const Kind kind = reader.get<Kind>();
    all.insert({kind, reader.get_text()});
  }
  return all;
}

/// Collective. What any rank found, each thing once, on all ranks.
std::set<Problem> unite(const Comm& comm, WireWriter mine) {
  const std::vector<Bytes> from_ranks = comm.gather(mine.take());
  WireWriter all;
  std::set<Problem> problems;
  for (const Bytes& bytes : from_ranks) problems.merge(get_all(bytes));
  for (const Problem& problem : problems) put(all, problem);
  return get_all(comm.broadcast(all.take()));
}

[[noreturn]] void refuse(const std::set<Problem>& problems, const std::string& where) {
  std::string text = "the state does not match " + where + " in " +
                     std::to_string(problems.size()) +
                     (problems.size() == 1 ? " tensor" : " tensors") + " (state unchanged)";
  std::size_t n = 0;
  for (const auto& [kind, what] : problems) {
    if (n++ == kMostListed) {
      text += "\n  … and " + std::to_string(problems.size() - kMostListed) + " more";
      break;
    }
    text += kind == Kind::missing ? "\n  missing in the file: "
            : kind == Kind::extra ? "\n  extra in the file: "
                                  : "\n  different: ";
    text += what;
  }
  throw Error(ErrorCode::mismatch, text);
}

/// Whether a tensor of the file could be asked for under these rules at all.
bool takes_part(std::string_view in_file, const LoadOptions& options) {
  if (!in_file.starts_with(options.add_prefix)) return false;
  if (!options.filter) return true;
  const std::string_view rest = in_file.substr(options.add_prefix.size());
  return options.filter(options.strip_prefix + std::string(rest)) || options.filter(rest);
}

bool fits(const TensorInfo& stored, const TensorInfo& wanted, const LoadOptions& options) {
  if (stored.shape != wanted.shape || stored.is_text != wanted.is_text) return false;
  return stored.dtype == wanted.dtype ||
         (stored.family != Family::map_parameter && options.convert_dtype && is_convertible(stored.dtype, wanted.dtype));
}

/// The name in the file; of a part of a map it is the map's that is filtered and changed.
std::optional<std::string> stored_name(const TensorInfo& tensor, const LoadOptions& options) {
  if (tensor.family == Family::append_info) return tensor.name;
  if (tensor.family == Family::parameter) return name_in_file(tensor.name, options);
  const std::string_view map = map_of_part(tensor.name);
  auto name = name_in_file(map, options);
  if (name) *name += tensor.name.substr(map.size());
  return name;
}

bool is_default_row(const TensorInfo& tensor) {
  return tensor.family == Family::map_parameter && is_part(tensor.name, MapPart::default_row);
}

/// Of the parts of a map that is missing or too many, one is enough to be told.
bool speaks(const TensorInfo& tensor) {
  return tensor.family != Family::map_parameter || is_part(tensor.name, MapPart::values);
}

/// Lists say themselves that they are about tensors.
std::string name_in_list(const TensorInfo& tensor) {
  return tensor.family == Family::parameter ? "\"" + tensor.name + "\"" : label(tensor);
}

std::string describe(const TensorInfo& tensor) {
  return name_in_list(tensor) + " " + type_and_shape(tensor);
}


}  // namespace

std::optional<std::string> name_in_file(std::string_view name, const LoadOptions& options) {
  if (options.filter && !options.filter(name)) return std::nullopt;
  if (name.starts_with(options.strip_prefix)) name.remove_prefix(options.strip_prefix.size());
  return options.add_prefix + std::string(name);
}

Match match(const Comm& comm, std::span<const plan::Claim> claims,
            std::span<const TensorInfo> stored, const LoadOptions& options,
            const std::string& where) {
  Match match;
  WireWriter problems;
  std::vector<std::uint8_t> asked_for(stored.size(), 0);
  const auto look_up = [&](const plan::Claim& claim) {
    const TensorInfo& tensor = claim.tensor;
    std::optional<std::size_t>& place = match.places.emplace_back();
    const auto name = stored_name(tensor, options);
    if (!name) return;
    place = find(stored, {tensor.family, *name});
    if (!place) {
      const bool is_appended = tensor.family == Family::append_info;
      if (!speaks(tensor)) return;
      put(problems, {is_appended ? Kind::not_appended : Kind::missing, describe(tensor)});
      return;
    }
    asked_for[*place] = 1;
    if (fits(stored[*place], tensor, options)) return;
    if (!is_default_row(tensor)) put(problems, {Kind::different, name_in_list(tensor) + " is " + type_and_shape(stored[*place]) +
                                        " in the file, " + type_and_shape(tensor) +
                                        " in the state"});
    place.reset();
  };
  // The filter is the user's and may throw.
  run_together(comm, [&] { std::ranges::for_each(claims, look_up); });
  comm.allreduce(std::span<std::uint8_t>(asked_for), MPI_MAX);
  run_on_root(comm, [&] {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      const TensorInfo& tensor = stored[i];
      if (tensor.family == Family::append_info || asked_for[i] != 0 || !speaks(tensor)) continue;
      const bool is_map = tensor.family == Family::map_parameter;
      if (takes_part(is_map ? map_of_part(tensor.name) : tensor.name, options)) put(problems, {Kind::extra, describe(tensor)});
    }
  });
  std::set<Problem> all = unite(comm, std::move(problems));
  std::erase_if(all, [&](const Problem& problem) {
    if (problem.kind != Kind::not_appended) return false;
    match.warnings.push_back(problem.text + " is not in " + where + ": it is not filled");
    return true;
  });
  if (options.strict && !all.empty()) refuse(all, where);
  for (const auto& [kind, text] : all) {
    auto& list = kind == Kind::missing ? match.missing
                 : kind == Kind::extra ? match.extra
                                       : match.different;
    list.push_back(text);
  }
  return match;
}

}  // namespace cairn::coord
