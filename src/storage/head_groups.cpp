#include "storage/head_groups.hpp"

#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kHeapBytes = 32;
constexpr std::uint64_t kNodeBytes = 24;  // before its keys and children
constexpr std::uint64_t kKeyAndChildBytes = 16;
constexpr std::uint64_t kKeyBytes = 8;
constexpr std::uint64_t kLeafBytes = 8;  // before its entries
constexpr std::uint64_t kEntryBytes = 40;
constexpr std::size_t kCacheBytes = 16;

enum class Cache : std::uint32_t { nothing = 0, group = 1, soft_link = 2 };

class LinkReader {
 public:
  LinkReader(HeadBytes& head, const std::string& prefix)
      : head_(head), path_(prefix.empty() ? kRootPath : prefix), prefix_(prefix) {}

  std::vector<HeadLink> run(const SymbolTable& table);

 private:
  struct Node {
    std::uint64_t address;
    std::optional<unsigned> level;  // nothing: of the root, which says itself how high it stands
  };

  void open_heap(std::uint64_t address);
  void read_node(const Node& node);
  void read_leaf(std::uint64_t address);
  void read_entry(HeadPiece entry);
  [[nodiscard]] std::string_view read_name(std::uint64_t place);
  void check_name(std::string_view name) const;

  HeadBytes& head_;
  const std::string& path_;
  const std::string& prefix_;
  std::uint64_t names_begin_ = 0;
  std::uint64_t names_end_ = 0;
  std::vector<Node> waiting_;  // the next one last
  std::vector<HeadLink> links_;
};

std::vector<HeadLink> LinkReader::run(const SymbolTable& table) {
  open_heap(table.heap);
  waiting_.push_back({table.tree, std::nullopt});
  while (!waiting_.empty()) {
    const Node node = waiting_.back();
    waiting_.pop_back();
    read_node(node);
  }
  return std::move(links_);
}

void LinkReader::open_heap(std::uint64_t address) {
  HeadPiece heap = head_.take(address, kHeapBytes, "a heap of names", path_);
  heap.expect_signature("HEAP");
  heap.expect("version", std::uint32_t{0});  // and three reserved bytes
  const auto bytes = heap.number<std::uint64_t>();
  (void)heap.number<std::uint64_t>();  // free space: nothing is added here
  names_begin_ = heap.number<std::uint64_t>();
  if (names_begin_ > head_.size() || bytes > head_.size() - names_begin_) {
    heap.refuse("with names at offset " + std::to_string(names_begin_) + " in " +
                std::to_string(bytes) + " bytes, which leaves the head's " +
                std::to_string(head_.size()) + " bytes");
  }
  names_end_ = names_begin_ + bytes;
}

/// Nodes of a level come in order, and children stand one level lower: so the stack is no deeper
/// than the levels are wide, and links come in order. Keys and neighbours are for those who search.
void LinkReader::read_node(const Node& node) {
  HeadPiece fixed = head_.take(node.address, kNodeBytes, "a B-tree node", path_);
  fixed.expect_signature("TREE");
  fixed.expect("type", std::uint8_t{0});
  const unsigned level = fixed.number<std::uint8_t>();
  if (node.level && level != *node.level) fixed.refuse_number("level", level, *node.level);
  const std::uint64_t count = fixed.number<std::uint16_t>();
  HeadPiece rest = head_.take(node.address + kNodeBytes, count * kKeyAndChildBytes + kKeyBytes,
                              "a B-tree node", path_);
  std::vector<std::uint64_t> children;
  for (std::uint64_t i = 0; i < count; ++i) {
    (void)rest.number<std::uint64_t>();
    children.push_back(rest.number<std::uint64_t>());
  }
  if (level == 0) {
    for (const std::uint64_t leaf : children) read_leaf(leaf);
    return;
  }
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    waiting_.push_back({*child, level - 1});
  }
}

void LinkReader::read_leaf(std::uint64_t address) {
  HeadPiece fixed = head_.take(address, kLeafBytes, "a symbol table node", path_);
  fixed.expect_signature("SNOD");
  fixed.expect("version", std::uint16_t{1});  // and a reserved byte
  const std::uint64_t count = fixed.number<std::uint16_t>();
  HeadPiece entries =
      head_.take(address + kLeafBytes, count * kEntryBytes, "a symbol table node", path_);
  for (std::uint64_t i = 0; i < count; ++i) {
    read_entry(entries.piece(kEntryBytes, "a symbol table entry"));
  }
}

void LinkReader::read_entry(HeadPiece entry) {
  HeadLink link;
  link.name = read_name(entry.number<std::uint64_t>());
  link.address = entry.number<std::uint64_t>();
  const auto cache = static_cast<Cache>(entry.number<std::uint32_t>());
  (void)entry.number<std::uint32_t>();
  HeadPiece cached = entry.piece(kCacheBytes, "a symbol table entry");
  check_name(link.name);
  if (cache == Cache::soft_link) {
    refuse_object(prefix_ + std::string(link.name), "is a soft link; only hard ones are taken");
  }
  if (cache == Cache::group) {
    const auto tree = cached.number<std::uint64_t>();
    link.cached = SymbolTable{tree, cached.number<std::uint64_t>()};
  } else if (cache != Cache::nothing) {
    entry.refuse("of the unknown kind " + std::to_string(static_cast<std::uint32_t>(cache)));
  }
  links_.push_back(link);
}

std::string_view LinkReader::read_name(std::uint64_t place) {
  if (place >= names_end_ - names_begin_) {
    refuse_object(path_, "has a link name at place " + std::to_string(place) +
                             " of its heap, which has " +
                             std::to_string(names_end_ - names_begin_) + " bytes");
  }
  return head_.take_text(names_begin_ + place, names_end_, "a link name", path_);
}

void LinkReader::check_name(std::string_view name) const {
  if (name.empty() || name == "." || name.find('/') != std::string_view::npos) {
    refuse_object(prefix_ + std::string(name), "is not a link name");
  }
  if (links_.empty() || links_.back().name < name) return;
  refuse_object(prefix_ + std::string(name),
                "comes after '" + std::string(links_.back().name) + "', out of order");
}

}  // namespace

std::vector<HeadLink> read_links(HeadBytes& head, const SymbolTable& table,
                                 const std::string& prefix) {
  return LinkReader(head, prefix).run(table);
}

}  // namespace cairn::storage
