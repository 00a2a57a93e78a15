#include "tools/keys.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cairn/error.hpp"

namespace cairn::tools {
namespace {

constexpr const char* kVariable = "CAIRN_KEY";

}  // namespace

void add_key_option(CLI::App& command, KeyOption& option) {
  command.add_option("--key-file", option.file,
                     "a file with the key in hexadecimal, as `openssl rand -hex 32` prints one; or "
                     "set CAIRN_KEY to the digits");
}

Keys::Keys(const KeyOption& option) {
  if (!option.file.empty()) {
    key_ = read_key_file(option.file);
    for_all_ = true;
    if (!key_.empty()) return;
    throw Error(ErrorCode::invalid_argument, option.file + " holds no key");
  }
  if (const char* digits = std::getenv(kVariable)) key_ = Key::from_hex(digits);
}

Key Keys::key_for(const std::filesystem::path& path, bool sealed) const {
  if (sealed && key_.empty()) {
    throw Error(ErrorCode::wrong_key,
                path.string() + " is encrypted: give its key by --key-file or in " + kVariable);
  }
  return sealed || for_all_ ? key_ : Key();
}

}  // namespace cairn::tools
