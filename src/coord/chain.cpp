#include "coord/chain.hpp"

#include <algorithm>
#include <string>

#include "cairn/error.hpp"

namespace cairn::coord {
namespace {

std::string describe(const Stored& increment) {
  const storage::Chain& chain = increment.identity.chain;
  return increment.path.string() + " is increment " + std::to_string(chain.position) +
         " on the checkpoint with sequence number " + std::to_string(chain.base);
}

[[noreturn]] void refuse(const Stored& increment, const std::string& why) {
  throw Error(ErrorCode::damaged, describe(increment) + ": " + why);
}

Stored open_parent(const Comm& comm, const Stored& child, const storage::Unlock& unlock) {
  const auto path = child.path.parent_path() / child.identity.chain.parent;
  try {
    return open_stored(comm, path, unlock);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) {
      refuse(child, "the one before it, " + path.string() + ", is missing");
    }
    if (error.code() == ErrorCode::damaged) {
      refuse(child, "the one before it is damaged: " + std::string(error.what()));
    }
    throw;
  }
}

/// That the parent is the one that was there when its child was saved.
void check_link(const Stored& child, const Stored& parent) {
  const storage::Chain& chain = child.identity.chain;
  const storage::Identity& found = parent.identity;
  const std::uint64_t base = found.chain.is_increment() ? found.chain.base : found.sequence;
  if (storage::digest_of(found) == chain.parent_digest && base == chain.base &&
      found.chain.position + 1 == chain.position) {
    return;
  }
  refuse(child, "the one before it, " + parent.path.string() +
                    ", is another than it was saved after: step " + std::to_string(found.step) +
                    ", sequence number " + std::to_string(found.sequence) +
                    (found.chain.is_increment()
                         ? ", increment " + std::to_string(found.chain.position)
                         : std::string(", full")));
}

}  // namespace

std::vector<Stored> open_chain(const Comm& comm, const Stored& newest,
                               const storage::Unlock& unlock) {
  std::vector<Stored> links;  // newest first; positions go down, so it ends
  const Stored* child = &newest;
  while (child->identity.chain.is_increment()) {
    Stored parent = open_parent(comm, *child, unlock);
    check_link(*child, parent);
    links.push_back(std::move(parent));
    child = &links.back();
  }
  std::ranges::reverse(links);
  return links;
}

}  // namespace cairn::coord
