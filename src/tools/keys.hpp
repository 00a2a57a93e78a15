#pragma once

#include <filesystem>
#include <string>

#include "cairn/key.hpp"

namespace CLI {
class App;
}

namespace cairn::tools {

/// Where the key comes from. Never from an argument, which every user of the machine can read.
struct KeyOption {
  std::string file;
};

/// Adds `--key-file`.
void add_key_option(CLI::App& command, KeyOption& option);

/// A key, and what it is for. That of `--key-file` is for everything: what is not encrypted is
/// refused then. That of CAIRN_KEY is for what is encrypted.
class Keys {
 public:
  /// Reads the file, or the environment. Throws `Error`.
  explicit Keys(const KeyOption& option);
  /// No key.
  Keys() = default;

  /// The key to open `path` with. Throws `wrong_key` where it needs one and there is none.
  [[nodiscard]] Key key_for(const std::filesystem::path& path, bool sealed) const;

 private:
  Key key_;
  bool for_all_ = false;
};

}  // namespace cairn::tools
