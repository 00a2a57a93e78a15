#pragma once

#include <optional>

#include "cairn/key.hpp"
#include "cairn/options.hpp"

namespace cairn::storage {

/// How the values of a checkpoint are protected when it is saved.
struct Protection {
  bool crc_check = false;
  Key enc_key{};  ///< none: plain. With a key there is no `crc_check`: tags do more.
  EncMode enc_mode = EncMode::aes_gcm;

  [[nodiscard]] bool sealed() const noexcept { return !enc_key.empty(); }
};

/// Throws `invalid_argument`, naming the setting and never the key, where `writer` cannot do it or it
/// makes no sense in itself.
void check(const Protection& protection, Writer writer);

/// What a reader demands of a file, and what opens it.
struct Unlock {
  Key enc_key{};  ///< none: a sealed file is refused; else a plain one is
  std::optional<EncMode> enc_mode{};  ///< nothing: whatever the file says
  bool crc_check = false;  ///< a plain file without CRCs is refused
  bool accept_unmarked = false;  ///< lone shards of programs that do not mark their updates
};

/// The same of what a reader is given.
void check(const Unlock& unlock);

}  // namespace cairn::storage
