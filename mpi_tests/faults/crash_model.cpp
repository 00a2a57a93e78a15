#include "faults/crash_model.hpp"

#include <algorithm>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSector = 512;

bool coin(std::mt19937_64& chance) { return (chance() & 1U) != 0; }

std::string name_in(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

/// A write that is not durable yet, or, without data, a new length.
struct Pending {
  int rank;
  std::uint64_t offset;
  std::span<const std::byte> data;
};

using Bytes = std::vector<std::byte>;

void put(Bytes& bytes, const Pending& write, std::size_t from, std::size_t to) {
  const std::size_t end = write.offset + to;
  if (bytes.size() < end) bytes.resize(end);
  std::copy(write.data.begin() + static_cast<std::ptrdiff_t>(from),
            write.data.begin() + static_cast<std::ptrdiff_t>(to),
            bytes.begin() + static_cast<std::ptrdiff_t>(write.offset + from));
}

/// All of a change, as the program sees it.
void make(Bytes& bytes, const Pending& change) {
  if (change.data.empty()) {
    bytes.resize(change.offset);
  } else {
    put(bytes, change, 0, change.data.size());
  }
}

/// Whatever sectors of a write, in units of the device's, reached it.
void tear(Bytes& bytes, const Pending& write, std::mt19937_64& chance) {
  for (std::size_t at = 0; at < write.data.size();) {
    const std::size_t left = kSector - (write.offset + at) % kSector;
    const std::size_t end = std::min(write.data.size(), at + left);
    if (coin(chance)) put(bytes, write, at, end);
    at = end;
  }
}

}  // namespace

struct CrashModel::Change {
  std::string gone;  ///< a name that leads to `node` no more; empty: none
  std::string made;  ///< a name that leads to `node`; empty: none
  std::shared_ptr<Node> node;
};

struct CrashModel::Node {
  bool is_directory = false;
  // Of a file.
  Bytes durable;
  std::vector<Pending> pending;
  // Of a directory.
  std::map<std::string, std::shared_ptr<Node>> entries;
  std::vector<Change> changes;

  static void make(std::map<std::string, std::shared_ptr<Node>>& entries, const Change& change) {
    if (!change.gone.empty()) {
      const auto at = entries.find(change.gone);
      if (at != entries.end() && at->second == change.node) entries.erase(at);
    }
    if (!change.made.empty()) entries[change.made] = change.node;
  }
  [[nodiscard]] auto entries_now() const {
    auto now = entries;
    for (const Change& change : changes) make(now, change);
    return now;
  }
  void sync_directory() {
    entries = entries_now();
    changes.clear();
  }
  void sync_file(int rank) {
    for (const Pending& change : pending) {
      if (change.rank == rank) cairn::faults::make(durable, change);
    }
    std::erase_if(pending, [&](const Pending& change) { return change.rank == rank; });
  }
  [[nodiscard]] bool holds_directories() const {
    const auto is_one = [](const auto& entry) { return entry.second->is_directory; };
    return std::ranges::any_of(entries, is_one) || std::ranges::any_of(entries_now(), is_one);
  }
  [[nodiscard]] Bytes left(Fate fate, std::mt19937_64& chance) const;
};

CrashModel::CrashModel() : root_(std::make_shared<Node>()) { root_->is_directory = true; }

CrashModel::~CrashModel() {
  // Changes hold what holds changes.
  std::vector<std::shared_ptr<Node>> all{root_};
  for (auto& [number, node] : by_number_) all.push_back(node);
  for (const auto& node : all) {
    node->entries.clear();
    node->changes.clear();
  }
}

std::shared_ptr<CrashModel::Node> CrashModel::find(std::string_view path) const {
  std::shared_ptr<Node> node = root_;
  while (!path.empty() && node) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const auto now = node->entries_now();
    const auto at = now.find(std::string(path.substr(0, slash)));
    node = at == now.end() ? nullptr : at->second;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return node;
}

std::shared_ptr<CrashModel::Node> CrashModel::parent_of(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  auto parent = find(slash == std::string_view::npos ? "" : path.substr(0, slash));
  if (!parent) throw std::logic_error("the log has no directory for " + std::string(path));
  return parent;
}

void CrashModel::add(std::string_view path, std::shared_ptr<Node> node) {
  parent_of(path)->changes.push_back({"", name_in(path), std::move(node)});
}

void CrashModel::apply(const Entry& entry) {
  const auto numbered = [&]() -> Node& {
    if (entry.path.empty()) return *root_;
    const auto at = by_number_.find(entry.inode);
    if (at == by_number_.end()) {
      throw std::logic_error("the log has not seen the making of " + std::string(entry.path));
    }
    return *at->second;
  };
  switch (entry.op) {
    case Op::create:
    case Op::make_directory: {
      auto node = std::make_shared<Node>();
      node->is_directory = entry.op == Op::make_directory;
      by_number_[entry.inode] = node;
      add(entry.path, std::move(node));
      return;
    }
    case Op::write:
    case Op::resize:
      numbered().pending.push_back({entry.rank, entry.offset, entry.data});
      return;
    case Op::sync: {
      Node& node = numbered();
      node.is_directory ? node.sync_directory() : node.sync_file(entry.rank);
      return;
    }
    case Op::rename: {
      const auto node = find(entry.path);
      if (!node) throw std::logic_error("the log renames nothing: " + std::string(entry.path));
      const auto from = parent_of(entry.path);
      const auto to = parent_of(entry.to);
      if (from == to) {
        from->changes.push_back({name_in(entry.path), name_in(entry.to), node});
      } else {
        from->changes.push_back({name_in(entry.path), "", node});
        to->changes.push_back({"", name_in(entry.to), node});
      }
      return;
    }
    case Op::remove: {
      const auto node = find(entry.path);
      if (node) parent_of(entry.path)->changes.push_back({name_in(entry.path), "", node});
      return;
    }
    case Op::mark: return;
  }
}

std::vector<std::byte> CrashModel::Node::left(Fate fate, std::mt19937_64& chance) const {
  Bytes bytes = durable;
  if (fate == Fate::all_lost || fate == Fate::data_and_length_lost) return bytes;
  if (fate == Fate::all_kept || fate == Fate::names_lost || fate == Fate::outer_names_lost) {
    for (const Pending& change : pending) faults::make(bytes, change);
    return bytes;
  }
  std::vector<std::size_t> lengths{durable.size()};
  std::size_t length = durable.size();
  for (const Pending& change : pending) {
    length = change.data.empty() ? change.offset
                                 : std::max(length, change.offset + change.data.size());
    lengths.push_back(length);
    if (change.data.empty() || fate == Fate::data_lost) continue;
    switch (chance() % 3) {
      case 0: put(bytes, change, 0, change.data.size()); break;
      case 1: tear(bytes, change, chance); break;
      default: break;
    }
  }
  bytes.resize(fate == Fate::data_lost ? length : lengths[chance() % lengths.size()]);
  return bytes;
}

void CrashModel::collect(const Node& directory, const std::string& path, Fate fate,
                         std::mt19937_64& chance, Tree& tree) const {
  const std::vector<Change>& changes = directory.changes;
  const bool loses_all = fate == Fate::all_lost || fate == Fate::names_lost ||
                         (fate == Fate::outer_names_lost && directory.holds_directories());
  std::vector<bool> kept(changes.size(), !loses_all);
  if (fate == Fate::names_in_order) {
    const std::size_t first = chance() % (changes.size() + 1);
    for (std::size_t i = first; i < kept.size(); ++i) kept[i] = false;
  }
  if (fate == Fate::by_chance) {
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = coin(chance);
  }
  auto entries = directory.entries;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (kept[i]) Node::make(entries, changes[i]);
  }
  for (const auto& [name, node] : entries) {
    if (node->is_directory) {
      tree[path + name + "/"];
      collect(*node, path + name + "/", fate, chance, tree);
    } else {
      tree[path + name] = node->left(fate, chance);
    }
  }
}

Tree CrashModel::crash(Fate fate, std::mt19937_64& chance) const {
  Tree tree;
  collect(*root_, "", fate, chance, tree);
  return tree;
}

std::uint64_t digest_of(const Tree& tree) {
  std::uint64_t digest = 0;
  const auto mix = [&](std::uint64_t value) {
    digest = (digest ^ value) * 0x9E3779B97F4A7C15U;
    digest ^= digest >> 29U;
  };
  for (const auto& [path, bytes] : tree) {
    mix(std::hash<std::string_view>{}(path));
    mix(std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }
  return digest;
}

void lay_out(const Tree& tree, const fs::path& directory) {
  fs::create_directories(directory);
  for (const auto& [path, bytes] : tree) {
    if (path.ends_with('/')) {
      fs::create_directory(directory / path.substr(0, path.size() - 1));
      continue;
    }
    std::ofstream file(directory / path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + (directory / path).string());
  }
}

Tree tree_at(const fs::path& directory) {
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    std::string path = entry.path().lexically_relative(directory).string();
    if (entry.is_directory()) {
      tree[path + "/"];
      continue;
    }
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    tree[std::move(path)].assign(bytes, bytes + text.size());
  }
  return tree;
}

}  // namespace cairn::faults
