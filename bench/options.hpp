#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "workload.hpp"

namespace bench {

/// Adds `--slicing`, which overrides the slicing of every tensor.
void add_slicing_option(CLI::App& command, std::optional<Slicing>& slicing);

/// Adds an option that takes bytes: a number, or one with a unit as in 64KiB or 64K.
CLI::Option* add_bytes_option(CLI::App& command, const std::string& name,
                              std::optional<std::size_t>& bytes, const std::string& about);

}  // namespace bench
