#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cairn::storage {

/// Blocks of a file that have one length, by number: from `first` to before `last`.
struct BlockRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t block_bytes = 0;
};

/// Whether the bytes in the place of one block would verify as block `as`.
using Verifies = std::function<bool(std::uint64_t place, std::uint64_t as)>;

/// What stands in the place of block `number`, which did not verify, so far as the marks of the
/// file's other blocks tell: another block of it, exchanged, repeated or moved there. In words, to
/// be added to a message; empty where they tell nothing. The nearest blocks are tried first, and no
/// more of them than a reader wants to wait for.
std::string recognise_block(std::uint64_t number, const BlockRange& among,
                            const Verifies& verifies);

}  // namespace cairn::storage
