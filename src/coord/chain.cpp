#include "coord/chain.hpp"

#include <algorithm>
#include <string>

#include "cairn/error.hpp"
#include "storage/chain_link.hpp"

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
  const auto path = storage::parent_of(child.path, child.identity.chain);
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

}  // namespace

std::vector<Stored> open_chain(const Comm& comm, const Stored& newest,
                               const storage::Unlock& unlock) {
  std::vector<Stored> links;  // newest first; positions go down, so it ends
  const Stored* child = &newest;
  while (child->identity.chain.is_increment()) {
    Stored parent = open_parent(comm, *child, unlock);
    const auto objection =
        storage::objection_to_parent(child->identity, parent.path, parent.identity);
    if (objection) refuse(*child, *objection);
    links.push_back(std::move(parent));
    child = &links.back();
  }
  std::ranges::reverse(links);
  return links;
}

}  // namespace cairn::coord
