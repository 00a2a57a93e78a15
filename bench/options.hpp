#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cairn/key.hpp"
#include "workload.hpp"

namespace bench {

/// Adds `--slicing`, which overrides the slicing of every tensor.
void add_slicing_option(CLI::App& command, std::optional<Slicing>& slicing);

/// Adds an option that takes bytes: a number, or one with a unit as in 64KiB or 64K.
CLI::Option* add_bytes_option(CLI::App& command, const std::string& name,
                              std::optional<std::size_t>& bytes, const std::string& about);

/// How checkpoints are protected, as it was asked for.
struct ProtectionArguments {
  bool crc = false;
  std::string key_file;
  std::string enc_mode;  ///< empty: not given

  /// Local. Reads the key file; none: no key.
  [[nodiscard]] cairn::Key key() const;
};

/// Adds `--crc`, `--key-file` and `--enc-mode`.
void add_protection_options(CLI::App& command, ProtectionArguments& arguments);

}  // namespace bench
