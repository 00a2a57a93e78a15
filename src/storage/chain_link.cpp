#include "storage/chain_link.hpp"

#include "cairn/error.hpp"
#include "storage/directory.hpp"

namespace cairn::storage {

namespace fs = std::filesystem;

fs::path parent_of(const fs::path& path, const Chain& increment) {
  const fs::path named = path.has_filename() ? path : path.parent_path();  // "…/run-1_2.shards/"
  const fs::path way = named.parent_path() / increment.parent;
  fs::path by_name = way.lexically_normal();
  std::error_code ignored;
  if (fs::exists(by_name, ignored)) return by_name;
  if (fs::exists(way, ignored)) return way;
  const fs::path itself = fs::canonical(named, ignored);
  fs::path by_target = (itself.parent_path() / increment.parent).lexically_normal();
  return !itself.empty() && fs::exists(by_target, ignored) ? by_target : by_name;
}

std::optional<std::string> objection_to_parent(const Identity& increment, const fs::path& path,
                                               const Identity& found) {
  const Chain& chain = increment.chain;
  const std::uint64_t base = found.chain.is_increment() ? found.chain.base : found.sequence;
  if (digest_of(found) == chain.parent_digest && base == chain.base &&
      found.chain.position + 1 == chain.position) {
    return std::nullopt;
  }
  return "the one before it, " + path.string() + ", is another than it was saved after: step " +
         std::to_string(found.step) + ", sequence number " + std::to_string(found.sequence) +
         (found.chain.is_increment() ? ", increment " + std::to_string(found.chain.position)
                                     : ", full");
}

std::optional<std::string> find_broken_link(const fs::path& path, const Identity& identity) {
  fs::path child = path;
  Identity told = identity;
  while (told.chain.is_increment()) {  // positions go down, so it ends
    const fs::path parent = parent_of(child, told.chain);
    Identity found;
    try {
      std::error_code ignored;
      found = identity_at(parent, fs::is_directory(parent, ignored));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) {
        return "the one before " + child.string() + ", " + parent.string() + ", is missing";
      }
      return "the one before " + child.string() + " cannot be read: " + error.what();
    }
    if (auto objection = objection_to_parent(told, parent, found)) {
      return child.string() + ": " + *objection;
    }
    child = parent;
    told = std::move(found);
  }
  return std::nullopt;
}

}  // namespace cairn::storage
