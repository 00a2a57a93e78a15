// How a name becomes a path (docs/format.md has it as a table):
//
// 1. A name is cut at '/'; each component becomes a link, all but the last one groups.
// 2. In a component '%' becomes "%25" and a zero byte "%00". An empty component becomes "%".
//    "." and "..", which HDF5 may take for itself, have their dots escaped.
// 3. A first component that is one of Cairn's own groups has its first byte escaped; that of
//    MapParameters is one where there are any.
// 4. A name that is also the group of another name gets "%" after its last component.
//
// Names of append_info, and of the datasets of MapParameters, become paths in the groups of these
// families, in the same way.
//
// An escape is '%' and two digits, so that a '%' at a component's end is never part of one: steps
// 2 and 4 cannot be mistaken for each other, and no two names meet.
#include "storage/dataset_names.hpp"

#include <algorithm>
#include <array>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

/// Groups of the root that hold no tensors; the last one only where there are MapParameters.
constexpr std::array kReservedGroups{kOwnGroup, kInfoGroup, kMapGroup};

void append_escape(std::string& out, char byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  out += '%';
  out += kDigits[value >> 4U];
  out += kDigits[value & 15U];
}

bool is_reserved(std::string_view component, bool with_maps) {
  const auto groups = std::span(kReservedGroups).first(kReservedGroups.size() - (with_maps ? 0 : 1));
  return std::ranges::find(groups, component) != groups.end();
}

void append_component(std::string& out, std::string_view component, bool reserved) {
  if (component.empty()) {
    out += '%';
    return;
  }
  const bool dots = component == "." || component == "..";
  for (std::size_t i = 0; i < component.size(); ++i) {
    const char byte = component[i];
    const bool escaped = byte == '%' || byte == '\0' || dots || (reserved && i == 0);
    if (escaped) {
      append_escape(out, byte);
    } else {
      out += byte;
    }
  }
}

/// Calls `visit(component, first, last)` for the parts between slashes.
template <class Visit>
void for_each_component(std::string_view text, Visit&& visit) {
  bool first = true;
  while (true) {
    const std::size_t slash = text.find('/');
    const bool last = slash == std::string_view::npos;
    visit(text.substr(0, slash), first, last);
    if (last) return;
    text.remove_prefix(slash + 1);
    first = false;
  }
}

/// Steps 1 to 3.
std::string path_of_name(std::string_view name, bool with_maps) {
  std::string path;
  path.reserve(name.size());
  for_each_component(name, [&](std::string_view component, bool first, bool last) {
    append_component(path, component, first && is_reserved(component, with_maps));
    if (!last) path += '/';
  });
  return path;
}

/// Whether another name of its family lies below that of `tensor`. Bytewise order puts those
/// together.
bool is_group(std::span<const TensorInfo> tensors, const TensorInfo& tensor) {
  const std::string group = tensor.name + '/';
  const auto below = std::ranges::lower_bound(tensors, TensorKey{tensor.family, group}, {},
                                              &TensorInfo::key);
  return below != tensors.end() && below->family == tensor.family &&
         below->name.starts_with(group);
}

[[noreturn]] void refuse(std::string_view path) {
  throw Error(ErrorCode::damaged,
              "the dataset path '" + std::string(path) + "' is not one that Cairn writes");
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Undoes the escapes; false for a '%' without two digits.
bool append_unescaped(std::string& out, std::string_view component) {
  for (std::size_t i = 0; i < component.size(); ++i) {
    if (component[i] != '%') {
      out += component[i];
      continue;
    }
    if (component.size() - i < 3) return false;
    const int high = digit(component[i + 1]);
    const int low = digit(component[i + 2]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

}  // namespace

std::vector<std::string> dataset_paths(std::span<const TensorInfo> tensors) {
  std::vector<std::string> paths;
  paths.reserve(tensors.size());
  const bool with_maps = !tensors.empty() && tensors.back().family == Family::map_parameter;
  for (const TensorInfo& tensor : tensors) {
    paths.push_back(path_of_name(tensor.name, with_maps));
    if (tensor.family == Family::append_info) paths.back().insert(0, std::string(kInfoGroup) + '/');
    if (tensor.family == Family::map_parameter) paths.back().insert(0, std::string(kMapGroup) + '/');
    if (is_group(tensors, tensor)) paths.back() += '%';
  }
  return paths;
}

std::string name_of_path(std::string_view path, bool with_maps) {
  std::string name;
  for_each_component(path, [&](std::string_view component, bool, bool last) {
    if (last && component.size() > 1 && component.ends_with('%')) component.remove_suffix(1);
    if (component != "%" && !append_unescaped(name, component)) refuse(path);
    if (!last) name += '/';
  });
  // What was decoded generously is canonical if it is encoded the same way again.
  const std::string canonical = path_of_name(name, with_maps);
  if (path != canonical && path != canonical + '%') refuse(path);
  return name;
}

}  // namespace cairn::storage
